extension HTTPFailure {
  /// The answer of the REST side to a refusal.
  init(_ refusal: ChatRefusal) {
    let status =
      switch refusal {
      case .invalid, .contact, .alreadyMember, .blockedMember, .groupFull, .clientIDReused: 400
      case .noSuchSession, .needsAccessToken, .foreignSession, .socketClosed, .accountDeleted, .wrongCredentials: 401
      case .notFriends, .notAdmin: 403
      case .noSuchUser, .userRemoved, .noSuchContact, .noSuchGroup, .notMember: 404
      case .tooManyAttempts: 429
      case .unavailable, .noUserManager, .stopping: 503
      }
    guard case .tooManyAttempts(_, let retryAfter?) = refusal else {
      self.init(status, refusal.message)
      return
    }
    self.init(status, refusal.message, fields: [("retry-after", retryAfter)])
  }
}
