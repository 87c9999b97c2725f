import Environment

/// The erasure of an account in all services, as a sequence of requests of an operator.
///
/// First the account is found and disabled, so that nothing new begins. All requests but the first,
/// which changes nothing, name it by its id: one that is late does not find another account of the
/// same name. Then its data goes at the Customer Server, the User Manager and the Chat Service, and
/// the account itself goes last: an erasure that was interrupted is finished by another one of the
/// same account. Each request may be repeated.
///
/// ```swift
/// var erasure = AccountErasure(of: "ann", at: [.users, .chat], isTrial: false)
/// var step = erasure.begin()
/// while case .send(let request) = step { step = erasure.next(after: try await send(request)) }
/// ```
public struct AccountErasure: Sendable {
  /// A service that has data of accounts.
  public enum Service: String, CaseIterable, Sendable {
    case users, customers, manager, chat
  }

  /// A `POST` with the operators' token.
  public struct Request: Sendable {
    /// The service to ask.
    public let service: Service
    /// The path of the endpoint.
    public let path: String
    /// The body.
    public let body: JSONValue
  }

  /// What to do next.
  public enum Step: Sendable {
    case send(Request)
    /// Ask the User Manager by its queue to erase the sessions of this email, after the requests
    /// for sessions that are in the queue. See `QueueOperator.eraseSessions(of:)`.
    case publish(email: String)
    case wait(Duration)
    case done
    /// The erasure cannot go on, for this reason. It may be run again.
    case failed(String)
  }

  private enum Phase {
    case finding, disabling, counting, customers, publishing, manager, transcripts, chat, deleting, over
  }

  /// Time between two requests to a service that is not done.
  private static let pause: Duration = .milliseconds(500)
  /// The pauses after which the erasure fails: a host that is lost gives its sessions up in less.
  private static let maximumPauses = 60

  private let user: String
  private let isTrial: Bool
  private let services: Set<Service>
  private var phase = Phase.finding
  private var pauses = 0
  private var account: JSONValue = .null
  private var remaining: Int64 = 0
  private var removed: [JSONValue] = []
  private var found: [String: Int64] = [:]

  /// - Parameters:
  ///   - user: The id, the email or the username.
  ///   - services: The services that have data. Others are not asked.
  ///   - isTrial: Whether to count only, and change nothing.
  public init(of user: String, at services: Set<Service>, isTrial: Bool) {
    self.user = user
    self.services = services
    self.isTrial = isTrial
  }

  /// What was found: the account, and the numbers of its sessions, of requests for supervised
  /// sessions, of those sessions and the messages in their transcripts, of contacts and of groups.
  /// `null` for a service that was not asked.
  public var outcome: JSONValue {
    func number(_ name: String, of service: Service) -> JSONValue {
      services.contains(service) ? .int(found[name] ?? 0) : .null
    }
    return [
      "user_id": account["user_id"] ?? .null, "username": account["username"] ?? .null,
      "email": account["email"] ?? .null, "sessions": number("sessions", of: .users),
      "requests": number("requests", of: .customers), "supervised_sessions": number("supervised", of: .manager),
      "transcript_messages": number("messages", of: .manager), "contacts": number("contacts", of: .chat),
      "groups": number("groups", of: .chat), "dry_run": .bool(isTrial),
    ]
  }

  /// Returns the first step.
  public mutating func begin() -> Step {
    send(.users, "/operator/users/disable", [.init("user", .string(user))], isTrial: true)
  }

  /// Returns the step after one that is done. `answer` is that to a request.
  public mutating func next(after answer: (status: Int, body: JSONValue)? = nil) -> Step {
    guard let answer else { return repeated() }
    guard answer.status == 200 else {
      let reason = answer.body["detail"] ?? answer.body["error"] ?? answer.body["ERROR"] ?? answer.body["MESSAGE"]
      return .failed(reason?.string ?? "the service answers \(answer.status)")
    }
    let body = answer.body
    switch phase {
    case .finding where !isTrial:
      account = body
      phase = .disabling
      return send(.users, "/operator/users/disable", [.init("user", account["user_id"] ?? .null)])
    case .finding, .disabling:
      account = body
      add(["sessions": "sessions_ended"], body)
      phase = .counting
      return erase()
    case .counting:
      add(["supervised": "SESSIONS", "messages": "MESSAGES"], body)
      phase = .customers
      return erase()
    case .customers:
      add(["requests": "REQUESTS"], body)
      if let waiting = body["UNDER_WAY"]?.int, waiting > 0 { return paused("a request for a supervisor is under way") }
      phase = isTrial ? .chat : .publishing
      return erase()
    case .manager:
      remaining = body["REMAINING"]?.int ?? 0
      removed = body["REMOVED"]?.array ?? []
      phase = .transcripts
      return removed.isEmpty || !services.contains(.customers) ? afterRemoval() : erase()
    case .transcripts: return afterRemoval()
    case .chat:
      add(["contacts": "contacts", "groups": "groups"], body)
      phase = .deleting
      return erase()
    case .deleting:
      phase = .over
      return .done
    case .publishing, .over: return .done
    }
  }

  /// The step after a pause or a publication.
  private mutating func repeated() -> Step {
    if case .publishing = phase { phase = .manager }
    return erase()
  }

  private mutating func afterRemoval() -> Step {
    if remaining > 0 || !removed.isEmpty {
      phase = .manager
      return removed.isEmpty
        ? paused("\(remaining) supervised sessions wait until their supervisors release the users") : erase()
    }
    phase = .chat
    return erase()
  }

  private mutating func paused(_ reason: String) -> Step {
    pauses += 1
    return pauses > Self.maximumPauses ? .failed(reason + "; run the command again") : .wait(Self.pause)
  }

  /// The request of the phase, or of the next phase that has one.
  private mutating func erase() -> Step {
    let email = account["email"] ?? .null
    if case .counting = phase, !services.contains(.manager) { phase = .customers }
    if case .customers = phase, !services.contains(.customers) { phase = isTrial ? .chat : .publishing }
    if case .publishing = phase {
      if !services.isDisjoint(with: [.customers, .manager]) { return .publish(email: email.string ?? "") }
      phase = .manager
    }
    if case .manager = phase, !services.contains(.manager) { phase = .chat }
    if case .chat = phase, !services.contains(.chat) { phase = .deleting }
    switch phase {
    case .customers: return send(.customers, "/operator/customers/erase", [.init("EMAIL", email)])
    case .transcripts:
      return send(.customers, "/operator/customers/erase", [.init("EMAIL", email), .init("SESSIONS", .array(removed))])
    case .counting: return send(.manager, "/operator/sessions/erase", [.init("EMAIL", email)], isTrial: true)
    case .manager: return send(.manager, "/operator/sessions/erase", [.init("EMAIL", email)])
    case .chat: return send(.chat, "/operator/users/erase", [.init("user_id", account["user_id"] ?? .null)])
    case .deleting where !isTrial:
      return send(.users, "/operator/users/erase", [.init("user", account["user_id"] ?? .null)])
    case .finding, .disabling, .publishing, .deleting, .over: return .done
    }
  }

  private func send(
    _ service: Service, _ path: String, _ members: [JSONValue.Member], isTrial: Bool? = nil
  ) -> Step {
    let trial = JSONValue.Member("dry_run", .bool(isTrial ?? self.isTrial))
    return .send(Request(service: service, path: path, body: .object(members + [trial])))
  }

  /// Adds numbers of an answer to those found before.
  private mutating func add(_ names: [String: String], _ body: JSONValue) {
    for name in names.keys.sorted() { found[name, default: 0] += body[names[name]!]?.int ?? 0 }
  }
}
