import Environment

/// `parley manual`: the manual page, in the macros of man(7).
enum ManualCommand {
  static let usage = """
    parley manual

    Prints the manual page. For example: parley manual > /usr/local/share/man/man1/parley.1
    """

  static func run(_ words: [String]) throws(UsageError) -> Int32 {
    guard words.isEmpty else { throw UsageError("manual takes no \"\(words[0])\"") }
    print(page)
    return 0
  }

  private static var page: String {
    var lines = [
      ".TH PARLEY 1 \"\" \"parley \(Release.version)\"", ".SH NAME", "parley \\- a session and chat platform",
      ".SH SYNOPSIS", ".B parley", ".I COMMAND", "[\\fIWORD\\fR]... [\\fB\\-\\-FLAG\\fR \\fIVALUE\\fR]...",
      ".SH COMMANDS",
    ]
    for command in Command.allCases {
      lines +=
        [".SS parley \(command.rawValue)", ".nf"]
        + command.usage.split(
          separator: "\n", omittingEmptySubsequences: false
        ).map { text(String($0)) } + [".fi"]
      if command == .serve { continue }
      for flag in command.flags { lines += item(flag) + [text(flag.help) + "."] }
    }
    lines += [".SH SETTINGS", "Flags of parley serve, with their environment variables and their keys in the"]
    lines += ["configuration file. A flag overrides the variable, which overrides the file."]
    for setting in Setting.all {
      lines += item(Flag(name: setting.flag, placeholder: setting.placeholder, help: ""))
      let standard = setting.standard.map { " Default: \($0)." } ?? ""
      lines += [text("\(setting.help).\(standard) [\(setting.variable), \(setting.key)]")]
    }
    for flag in ServeCommand.flags { lines += item(flag) + [text(flag.help) + "."] }
    lines += [
      ".SH EXIT STATUS", ".TP", "0", "success", ".TP", "1", "an oracle failed, or data has faults", ".TP", "2",
      "usage or configuration error",
    ]
    return lines.joined(separator: "\n")
  }

  /// The head of a paragraph about a flag.
  private static func item(_ flag: Flag) -> [String] {
    let value = flag.placeholder.map { " \\fI\(text($0))\\fR" } ?? ""
    return [".TP", "\\fB\(text("--" + flag.name))\\fR\(value)"]
  }

  /// Text that troff prints as it is.
  private static func text(_ text: String) -> String {
    let escaped = text.replacing("\\", with: "\\e").replacing("-", with: "\\-")
    return escaped.hasPrefix(".") || escaped.hasPrefix("'") ? "\\&" + escaped : escaped
  }
}
