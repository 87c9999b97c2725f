/// What people are.
enum Role: String, CaseIterable, Sendable {
  /// Users of the User Service.
  case account
  /// Users of the Chat Service.
  case chat
  /// Users of the User Server, who are given to sessions.
  case user
  /// Customers, who ask for sessions.
  case customer
  /// Somebody who puts what nobody can read into the queues.
  case vandal
  /// A program that publishes to a queue of its own and works it off.
  case worker
  /// Somebody who keeps to no protocol, with the credentials of an ordinary client.
  case attacker

  /// Who does what chance says, and nothing that a script could.
  static let withoutScript: Set<Role> = [.vandal, .worker]
}
