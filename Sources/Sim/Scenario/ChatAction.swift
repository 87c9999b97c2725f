/// The actions of users of the Chat Service.
public enum ChatAction: String, CaseIterable, Sendable {
  case sendDirect = "send-direct"
  case sendGroup = "send-group"
  /// Two devices send the same message at once.
  case sendTwice = "send-twice"
  /// An acknowledged message is sent again.
  case repeatMessage = "repeat-message"
  case typing
  /// A socket is closed in order and opened again.
  case disconnect
  /// A socket is abandoned silently and opened again.
  case vanish
  /// A device has no socket for a while.
  case putAway = "put-away"
  /// A friend is blocked for a while.
  case block
  case leaveGroup = "leave-group"
  /// A member is removed from the user's own group and added again.
  case removeMember = "remove-member"
  /// A session is ended while a device uses it.
  case logoutElsewhere = "logout-elsewhere"
  /// A session is ended while a device opens a socket with it.
  case logoutWhileConnecting = "logout-while-connecting"
  /// A session is ended at the User Service while a device uses it.
  case deleteSession = "delete-session"
  case readHistory = "read-history"
  /// The account is deleted at the User Service and its name registered again.
  case deleteUser = "delete-user"
  /// An operator erases the account in all services, and its name is registered again.
  case eraseUser = "erase-user"

  /// The kind of target that a script may give an action.
  enum Target {
    case nobody
    /// Another user of the group.
    case person
    /// The user who has created a group.
    case creator
  }

  var target: Target {
    switch self {
    case .sendDirect, .sendTwice, .typing, .block, .removeMember, .readHistory: .person
    case .sendGroup, .leaveGroup: .creator
    case .repeatMessage, .disconnect, .vanish, .putAway, .logoutElsewhere, .logoutWhileConnecting, .deleteSession,
      .deleteUser, .eraseUser:
      .nobody
    }
  }

  /// Whether a socket may end without a word to the server. Closing a socket that is still being
  /// opened counts too.
  var isSilent: Bool {
    switch self {
    case .vanish, .putAway, .disconnect, .logoutElsewhere, .logoutWhileConnecting, .deleteSession, .deleteUser,
      .eraseUser:
      true
    case .sendDirect, .sendGroup, .sendTwice, .repeatMessage, .typing, .block, .leaveGroup, .removeMember,
      .readHistory:
      false
    }
  }
}
