import Environment

extension HTTPFailure {
  /// The answer over HTTP to a refusal.
  init(_ refusal: AccountRefusal) {
    switch refusal {
    case .invalid, .emailTaken, .usernameTaken, .sessionTaken, .tooManySessions, .sessionNotFound, .userNotFound:
      self.init(400, refusal.message)
    case .wrongCredentials, .needsAccessToken, .invalidToken, .tokenExpired, .tokenUsed, .loginRevoked, .accountDeleted:
      self.init(401, refusal.message, fields: [("www-authenticate", "Bearer")])
    case .noSuchSession, .noSuchUsername: self.init(404, refusal.message)
    case .tooMany(_, let wait):
      let seconds = max(1, Int(wait.inSeconds.rounded(.up)))
      self.init(429, refusal.message, fields: [("retry-after", "\(seconds)")])
    case .tooManyPasswords: self.init(503, refusal.message, fields: [("retry-after", "1")])
    case .databaseUnavailable: self.init(503, refusal.message)
    }
  }
}

extension Route {
  /// The same route, whose handler throws the answer over HTTP in place of an `AccountRefusal`.
  var mappingAccountRefusals: Route {
    var route = self
    route.handler = { [handler] call in
      do {
        return try await handler(call)
      } catch let refusal as AccountRefusal {
        throw HTTPFailure(refusal)
      }
    }
    return route
  }
}
