/// What pages are made of.
public enum HTML {
  /// Text as it stands in an element or in a quoted attribute (WHATWG HTML §13.3).
  public static func escape(_ text: String) -> String {
    var output = ""
    for character in text {
      switch character {
      case "&": output += "&amp;"
      case "<": output += "&lt;"
      case ">": output += "&gt;"
      case "\"": output += "&quot;"
      default: output.append(character)
      }
    }
    return output
  }
}
