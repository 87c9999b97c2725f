import Environment

extension AccountRefusal: HTTPRefusal {
  var failure: HTTPFailure {
    switch self {
    case .invalid, .emailTaken, .usernameTaken, .sessionTaken, .tooManySessions, .sessionNotFound, .userNotFound:
      return HTTPFailure(400, message)
    case .wrongCredentials, .accountDisabled, .needsAccessToken, .invalidToken, .tokenExpired, .tokenUsed,
      .loginRevoked, .accountDeleted:
      return HTTPFailure(401, message, fields: [("www-authenticate", "Bearer")])
    case .noSuchSession, .noSuchUsername, .noSuchAccount: return HTTPFailure(404, message)
    case .tooMany(_, let wait):
      let seconds = max(1, Int(wait.inSeconds.rounded(.up)))
      return HTTPFailure(429, message, fields: [("retry-after", "\(seconds)")])
    case .tooManyPasswords: return HTTPFailure(503, message, fields: [("retry-after", "1")])
    case .databaseUnavailable: return HTTPFailure(503, message)
    }
  }
}
