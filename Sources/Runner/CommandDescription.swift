/// The parts of a command line, from which help, completions and the manual page are made.
extension Command {
  /// The flags of the command, without those of all commands.
  var flags: [Flag] {
    switch self {
    case .serve: ServeCommand.allFlags
    case .users, .queues, .sessions: ViewCommand.flags(rawValue)
    case .backup: BackupCommand.flags
    case .restore: RestoreCommand.flags
    case .check: CheckCommand.flags
    case .compact: CompactCommand.flags
    case .simulate: SimulateCommand.flags
    case .fuzz: FuzzCommand.flags
    case .explain: ExplainCommand.flags
    case .explore: ExploreCommand.flags
    case .diverge: DivergeCommand.flags
    case .drive: DriveCommand.flags
    case .hashPassword: HashPasswordCommand.flags
    case .completions, .manual, .version, .help: []
    }
  }

  /// The words that may follow the command; empty if a path or anything else follows.
  var choices: [String] {
    switch self {
    case .serve: ServeCommand.services
    case .users, .queues, .sessions: ViewCommand.verbs(rawValue)
    case .completions: CompletionsCommand.Shell.allCases.map(\.rawValue)
    case .help: Command.allCases.map(\.rawValue)
    default: []
    }
  }

  /// The help of the command: its usage and description.
  var usage: String {
    switch self {
    case .serve: ServeCommand.usage
    case .users, .queues, .sessions: ViewCommand.usage(rawValue)
    case .backup: BackupCommand.usage
    case .restore: RestoreCommand.usage
    case .check: CheckCommand.usage
    case .compact: CompactCommand.usage
    case .simulate: SimulateCommand.usage
    case .fuzz: FuzzCommand.usage
    case .explain: ExplainCommand.usage
    case .explore: ExploreCommand.usage
    case .diverge: DivergeCommand.usage
    case .drive: DriveCommand.usage
    case .hashPassword: HashPasswordCommand.usage
    case .completions: CompletionsCommand.usage
    case .manual: ManualCommand.usage
    case .version: "parley version\n\nPrints the version."
    case .help: "parley help [COMMAND]\n\nExplains a command."
    }
  }
}
