extension Route {
  /// The responses of the route, and those of the server itself.
  package var allResponses: [Response] {
    var all = responses
    func add(_ status: Int, _ summary: String) {
      if !all.contains(where: { $0.status == status }) { all.append(.init(status, summary)) }
    }
    add(400, "The request is malformed")
    if arguments != nil { add(414, "The target is too long") }
    if body != nil || arguments != nil {
      add(413, "The body is too large")
      add(415, "The body is not JSON")
    }
    switch access {
    case .anyone: break
    case .user: add(401, "No valid access token")
    case .service:
      add(401, "A service token is configured, and the request shows no valid one")
      add(
        403, "No service token is configured, and the request is not from loopback, or is from a proxy or another page")
      add(421, "No service token is configured, and the request is not addressed to loopback")
    case .operators:
      add(401, "The request shows neither the service token nor the operators' token")
      add(403, "Neither token is configured")
    }
    return all.sorted { $0.status < $1.status }
  }
}
