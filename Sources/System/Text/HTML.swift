/// HTML text.
public enum HTML {
  /// Escapes text for an element or a quoted attribute (WHATWG HTML §13.3).
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
