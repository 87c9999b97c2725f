extension ChatRefusal: HTTPRefusal {
  var failure: HTTPFailure {
    let status =
      switch self {
      case .invalid, .contact, .alreadyMember, .blockedMember, .groupFull, .clientIDReused: 400
      case .noSuchSession, .needsAccessToken, .foreignSession, .socketClosed, .accountDeleted, .wrongCredentials: 401
      case .notFriends, .notAdmin: 403
      case .noSuchUser, .userRemoved, .noSuchContact, .noSuchGroup, .notMember: 404
      case .tooManyAttempts: 429
      case .unavailable, .noUserManager, .stopping: 503
      }
    guard case .tooManyAttempts(_, let retryAfter?) = self else { return HTTPFailure(status, message) }
    return HTTPFailure(status, message, fields: [("retry-after", retryAfter)])
  }
}
