/// The actions of users who are assigned to supervised sessions.
public enum SupervisedUserAction: String, CaseIterable, Sendable {
  case say
  /// The socket is closed in order and opened again.
  case disconnect
  /// The socket is abandoned silently and opened again.
  case vanish
  /// The user is away for a while.
  case leave
  /// The user leaves for good.
  case depart

  /// Whether the socket may end without a word to the server.
  var isSilent: Bool { self != .say }
}
