/// The reason why the User Service refuses a request. `message` is the text that the client gets;
/// the HTTP side adds a status (`failure`).
enum AccountRefusal: Error, Hashable {
  /// A value breaks a rule. The text names the field.
  case invalid(String)
  case emailTaken
  case usernameTaken
  case sessionTaken
  case tooManySessions
  /// The user has no such session.
  case sessionNotFound
  /// Nobody has such a session.
  case noSuchSession
  /// Nobody has such a username.
  case noSuchUsername
  /// The account of the request does not exist.
  case userNotFound

  /// The name and the password do not belong together.
  case wrongCredentials
  /// An operator has disabled the account.
  case accountDisabled
  /// No account has the id, email or username.
  case noSuchAccount
  case needsAccessToken
  case invalidToken
  case tokenExpired
  /// The refresh token was used before.
  case tokenUsed
  case loginRevoked
  /// The account of the token was deleted.
  case accountDeleted

  /// Too many attempts from one address, or at one account.
  case tooMany(Attempt, retryAfter: Duration)
  /// Too many passwords wait to be hashed.
  case tooManyPasswords
  case databaseUnavailable

  /// An attempt that is limited.
  enum Attempt: String {
    case registrations
    case failedLogins = "failed logins"
  }

  /// The text for the client.
  var message: String {
    switch self {
    case .invalid(let text): text
    case .emailTaken: "email: already registered"
    case .usernameTaken: "username: already taken"
    case .sessionTaken: "session_id: already exists"
    case .tooManySessions: "too many sessions: end one first"
    case .sessionNotFound: "session_id: no such session of this user"
    case .noSuchSession: "session_id: no such session"
    case .noSuchUsername: "username: no such user"
    case .userNotFound: "user not found"
    case .wrongCredentials: "wrong user or password"
    case .accountDisabled: "the account is disabled"
    case .noSuchAccount: "user: no account has this id, email or username"
    case .needsAccessToken: "an access token is needed"
    case .invalidToken: "invalid token"
    case .tokenExpired: "the token has expired"
    case .tokenUsed: "the token was used before: log in again"
    case .loginRevoked: "the token was revoked: log in again"
    case .accountDeleted: "the user no longer exists"
    case .tooMany(let attempt, _): "too many \(attempt.rawValue)"
    case .tooManyPasswords: "too many passwords are being checked"
    case .databaseUnavailable: "the user database is not available"
    }
  }
}
