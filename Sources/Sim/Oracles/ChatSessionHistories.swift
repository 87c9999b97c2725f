import System

/// The sessions of the Chat Service: who opened them, and which requests may have ended them.
struct ChatSessionHistories {
  /// The time in which an ended session stops working (contract), in nanoseconds.
  private static let closing: Int64 = 5_000_000_000

  private struct End {
    /// The first request that may have ended the session.
    var invoked = Int.max
    /// When the end was first acknowledged; `Int64.max` if it was not.
    var acknowledgedAt = Int64.max
    var call: Int?
  }

  private let log: CallLog
  private let identities: ChatIdentities
  private var ends: [String: End] = [:]

  init(_ log: CallLog, _ identities: ChatIdentities) {
    self.log = log
    self.identities = identities
    for (index, call) in log.calls.enumerated() {
      switch (call.way, call.name) {
      case (.http(Scenario.chatNode), "POST /logout"): end(call.arguments["sessionID"]?.string, call, index)
      case (.http(Scenario.usersNode), "DELETE /delete-session"):
        end(call.arguments["session_id"]?.string, call, index)
      default: break
      }
    }
    for (name, index) in identities.deletions {
      for session in identities.sessions.keys.sorted() where identities.sessions[session]!.name == name {
        end(session, log.calls[index], index)
      }
    }
  }

  private mutating func end(_ session: String?, _ call: LoggedCall, _ index: Int) {
    guard let session, identities.sessions[session] != nil, !call.isTurnedAway else { return }
    var end = ends[session] ?? End()
    end.invoked = min(end.invoked, call.interval.invoked)
    // An account of the same name may have been registered again, and have opened the session since.
    let isDeletion = call.name == "DELETE /delete-user"
    if call.status == 200, !isDeletion, call.interval.answeredAt < end.acknowledgedAt {
      end.acknowledgedAt = call.interval.answeredAt
      end.call = index
    }
    ends[session] = end
  }

  /// The first call that a session explains neither as one that runs nor as one that has ended.
  func breach() -> Breach? {
    for (index, call) in log.calls.enumerated() {
      guard let session = session(of: call), identities.sessions[session] != nil else { continue }
      if call.saysNoSession {
        guard ends[session]?.invoked ?? .max > call.interval.answered else { continue }
        return Breach(
          "a session ends only when somebody ends it", [log.say(index), "and nobody had ended the session"])
      }
      if call.status == 200, let end = ends[session], call.interval.invokedAt - Self.closing > end.acknowledgedAt {
        return Breach("an ended session is of no use after 5 s", [log.say(end.call!), log.say(index)])
      }
    }
    for socket in log.sockets where identities.sessions[socket.session] != nil {
      guard let refusal = socket.refusal, refusal.message == "no such session",
        ends[socket.session]?.invoked ?? .max > refusal.position
      else { continue }
      return Breach(
        "a session ends only when somebody ends it",
        [
          "\(VirtualTime.text(socket.begunAt)) \(socket.person): CONNECT \(socket.namespace) → \(refusal.message)",
          "and nobody had ended the session",
        ])
    }
    return nil
  }

  /// The session that admits a call.
  private func session(of call: LoggedCall) -> String? {
    switch call.way {
    case .http(Scenario.chatNode): call.arguments["sessionID"]?.string
    case .http: nil
    case .socket(let socket): log.sockets[socket].session
    }
  }
}

extension LoggedCall {
  /// Whether the answer says that the session in the request does not exist.
  fileprivate var saysNoSession: Bool {
    if case .socket = way { return status == 400 && answer["message"] == "no such session" }
    return status == 401
  }
}
