import System

/// The role of the users of a group.
enum Role: String, CaseIterable, Sendable {
  /// A user of the User Service: see `AccountUser`.
  case account
  /// A user of the Chat Service: see `ChatUser`.
  case chat
  /// A user of the User Server, assigned to supervised sessions: see `SupervisedUser`.
  case user
  /// A customer of supervised sessions: see `Customer`.
  case customer
  /// A program that publishes messages that no service can read: see `PoisonPublisher`.
  case vandal
  /// A program that publishes to a queue of its own and works it off: see `QueueWorker`.
  case worker
  /// A client that keeps to no protocol: see `Attacker`.
  case attacker
  /// A client that calls everything that the services serve: see `Caller`.
  case caller
  /// An operator of the services: see `ServiceOperator`.
  case `operator`

  /// The roles that have no actions.
  static let withoutScript: Set<Role> = [.vandal, .worker]

  /// Whether users of the role look at the result once everything has come to rest.
  var looksAtRest: Bool { self == .chat || self == .user || self == .customer }

  /// The actions of the role, at random or in a script.
  var actions: [String] {
    switch self {
    case .account: AccountAction.allCases.map(\.rawValue)
    case .chat: ChatAction.allCases.map(\.rawValue)
    case .user: SupervisedUserAction.allCases.map(\.rawValue)
    case .customer: CustomerAction.allCases.map(\.rawValue)
    case .operator: OperatorAction.allCases.map(\.rawValue)
    case .attacker, .caller: ConnectionKind.allCases.map(\.rawValue)
    case .vandal, .worker: []
    }
  }

  /// The error for an action that the role does not have.
  func unknown(_ action: String) -> String {
    guard !actions.isEmpty else { return "a \(self) has no actions" }
    return "unknown action \"\(action)\"\(Spelling.hint(action, among: actions)); "
      + "the role \(self) has \(actions.joined(separator: ", "))"
  }
}
