enum ConsoleText {
  static let page = ""
  static let script = ""
  static let style = ""
}
