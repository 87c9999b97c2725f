/// What simulated people can do.
public enum Action: String, CaseIterable, Sendable {
  case register, login, refresh
  case addSession = "add-session"
  case getSessions = "get-sessions"
  case deleteSession = "delete-session"
  case deleteUser = "delete-user"
  /// Two who hold the same refresh token use it at the same time.
  case stealRefresh = "steal-refresh"
  /// A used refresh token is used again.
  case replayRefresh = "replay-refresh"
  /// A token that ought to be dead is used, to look, to add a session or to delete one.
  case useDeadToken = "use-dead-token"
  /// A session that somebody else has added is deleted: it must not work.
  case deleteOthersSession = "delete-others-session"
  case wrongPassword = "wrong-password"
}

/// What simulated users of the Chat Service can do.
public enum ChatAction: String, CaseIterable, Sendable {
  case sendDirect = "send-direct"
  case sendGroup = "send-group"
  /// A message is sent by two devices at the same time.
  case sendTwice = "send-twice"
  /// A message that was acknowledged is sent again.
  case repeatMessage = "repeat-message"
  case typing
  /// A socket is closed in order, and opened again.
  case disconnect
  /// A socket is given up without a word, and opened again.
  case vanish
  /// A device has no socket for a while.
  case putAway = "put-away"
  /// Somebody is blocked for a while.
  case block
  case leaveGroup = "leave-group"
  /// Somebody is taken out of one's own group, and put back.
  case removeMember = "remove-member"
  /// A session is ended while a device is on it.
  case logoutElsewhere = "logout-elsewhere"
  /// A session is ended while a device opens a socket with it.
  case logoutWhileConnecting = "logout-while-connecting"
  /// A session is ended at the User Service while a device is on it.
  case deleteSession = "delete-session"
  case readHistory = "read-history"
  /// The account is deleted at the User Service, and its name registered again.
  case deleteUser = "delete-user"
}

/// What simulated users and customers of sessions can do.
public enum SessionAction: String, CaseIterable, Sendable {
  case say
  /// A user's socket is closed in order, and opened again.
  case disconnect
  /// A user's socket is given up without a word, and opened again.
  case vanish
  /// A user is away for a while.
  case leave
  /// A user goes, and does not come back.
  case depart
  /// A customer reads what is new in the transcript.
  case read
  /// A customer asks for another user.
  case moreUsers = "more-users"
  /// A customer ends the session, and asks for another.
  case endSession = "end-session"
  /// A customer asks for a session twice at once.
  case raceForSession = "race-for-session"
}

extension ChatAction {
  /// Towards whom a script may direct it: another person, or who has made a group.
  enum Target { case nobody, person, maker }

  var target: Target {
    switch self {
    case .sendDirect, .sendTwice, .typing, .block, .removeMember, .readHistory: .person
    case .sendGroup, .leaveGroup: .maker
    case .repeatMessage, .disconnect, .vanish, .putAway, .logoutElsewhere, .logoutWhileConnecting, .deleteSession,
      .deleteUser:
      .nobody
    }
  }
}

/// What an attack goes through, and what the attacker has left lying about.
enum AttackKind: String, CaseIterable, Sendable {
  /// A logged-in client of the broker, with queues and exchanges of its own.
  case amqp
  /// A client of the chat's sockets.
  case sockets
  /// A client of the HTTP services.
  case http
  /// A client of the broker that puts into the services' queues what they cannot read.
  case queues
}
