/// `parley completions`: a script that lets a shell complete commands, words and flags.
enum CompletionsCommand {
  enum Shell: String, CaseIterable {
    case bash, zsh, fish
  }

  static let usage = """
    parley completions bash|zsh|fish

    Prints a script that lets the shell complete the commands, words and flags of parley.
    bash: source <(parley completions bash)
    zsh:  source <(parley completions zsh)    (after compinit)
    fish: parley completions fish | source
    """

  static func run(_ words: [String]) throws(UsageError) -> Int32 {
    guard let word = words.first, words.count == 1, let shell = Shell(rawValue: word) else {
      throw UsageError("completions needs a shell: \(Shell.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    switch shell {
    case .bash: print(bash)
    case .zsh: print(zsh)
    case .fish: print(fish)
    }
    return 0
  }

  private static var commands: String { Command.allCases.map(\.rawValue).joined(separator: " ") }

  private static func words(_ command: Command) -> String {
    (command.choices + command.flags.map { "--\($0.name)" }).joined(separator: " ")
  }

  /// Files are completed where a command takes them, and after each flag that needs a value.
  private static var bash: String {
    let cases = Command.allCases.map { "    \($0.rawValue)) words=\"\(words($0))\" ;;" }.joined(separator: "\n")
    return """
      _parley() {
        local current="${COMP_WORDS[COMP_CWORD]}" words=""
        if [ "$COMP_CWORD" -eq 1 ]; then
          COMPREPLY=($(compgen -W "\(commands)" -- "$current"))
          return
        fi
        case "${COMP_WORDS[1]}" in
      \(cases)
        esac
        COMPREPLY=($(compgen -W "$words" -- "$current"))
      }
      complete -o default -F _parley parley
      """
  }

  private static var zsh: String {
    let cases = Command.allCases.map { "    \($0.rawValue)) compadd -- \(words($0)) ;;" }.joined(separator: "\n")
    return """
      _parley() {
        if (( CURRENT == 2 )); then
          compadd -- \(commands)
          return
        fi
        case "$words[2]" in
      \(cases)
        esac
        _files
      }
      compdef _parley parley
      """
  }

  private static var fish: String {
    var lines = ["complete -c parley -n __fish_use_subcommand -f -a '\(commands)'"]
    for command in Command.allCases {
      let condition = "complete -c parley -n '__fish_seen_subcommand_from \(command.rawValue)'"
      if !command.choices.isEmpty { lines.append("\(condition) -a '\(command.choices.joined(separator: " "))'") }
      for flag in command.flags {
        let needsValue = flag.placeholder == nil ? "" : " -r"
        lines.append("\(condition) -l \(flag.name)\(needsValue) -d '\(flag.help.replacing("'", with: "\\'"))'")
      }
    }
    return lines.joined(separator: "\n")
  }
}
