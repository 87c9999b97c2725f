/// The reason why the Chat Service refuses a request. `message` is the text that the client gets;
/// the REST side adds a status (`HTTPFailure.init(_: ChatRefusal)`).
enum ChatRefusal: Error, Hashable {
  /// The session is unknown, or has ended.
  case noSuchSession
  /// A session id that is short enough to guess came without the owner's access token.
  case needsAccessToken
  /// The session in an event belongs to another user than the socket.
  case foreignSession
  /// The socket of an event is closed.
  case socketClosed
  /// The account of the session was deleted.
  case accountDeleted
  /// The User Service refused a name or a password, with this text.
  case wrongCredentials(String)
  /// The User Service limits the attempts; `retryAfter` is its `Retry-After` field.
  case tooManyAttempts(String, retryAfter: String?)

  /// A value breaks a rule. The text names the field.
  case invalid(String)
  /// No account has the name in this field.
  case noSuchUser(field: String)
  /// The account was deleted while the request was under way.
  case userRemoved
  case noSuchContact
  /// The group does not exist, or not for this user.
  case noSuchGroup
  case contact(Contact.Refusal)
  /// Only friends may write to each other.
  case notFriends
  /// Only an admin of the group may do this.
  case notAdmin
  case alreadyMember
  case notMember
  /// One of the two users has blocked the other.
  case blockedMember
  case groupFull
  /// The `client_id` belongs to another message.
  case clientIDReused

  /// Something that the service depends on does not answer.
  case unavailable(Dependency)
  /// No User Manager is configured.
  case noUserManager
  /// The service is shutting down.
  case stopping

  /// A service that the Chat Service depends on.
  enum Dependency: String {
    case userService = "the User Service"
    case userManager = "the User Manager"
    case broker = "the broker"
    case database = "the chat database"
  }

  /// The text for the client.
  var message: String {
    switch self {
    case .noSuchSession: "no such session"
    case .needsAccessToken: "a session id this short needs its owner's access token"
    case .foreignSession: "sessionID: belongs to another user"
    case .socketClosed: "the socket is closed"
    case .accountDeleted: "the account is deleted"
    case .wrongCredentials(let text), .tooManyAttempts(let text, _), .invalid(let text): text
    case .noSuchUser(let field): "\(field): no such user"
    case .userRemoved: "no such user"
    case .noSuchContact: "contact: no such contact"
    case .noSuchGroup: "group_id: no such group"
    case .contact(let refusal): refusal.reason
    case .notFriends: "recipient_id: is not a friend"
    case .notAdmin: "only an admin can add or remove other members"
    case .alreadyMember: "member: is already a member"
    case .notMember: "member: is not a member"
    case .blockedMember: "member: one of you has blocked the other"
    case .groupFull: "member: the group is full"
    case .clientIDReused: "client_id: was used for another message"
    case .unavailable(let dependency): "\(dependency.rawValue) is not available"
    case .noUserManager: "no User Manager is configured"
    case .stopping: "the service is stopping"
    }
  }
}
