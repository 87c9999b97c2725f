import System

/// The sessions of the Chat Service: who opened them, and which requests may have ended them.
struct ChatSessionHistories {
  /// The time in which an ended session stops working (contract), in nanoseconds.
  private static let closing: Int64 = 5_000_000_000
  /// A session id that is shorter could be guessed, and needs the access token of its owner.
  private static let shortest = 32

  private struct End {
    /// The first request that may have ended the session.
    var invoked = Int.max
    /// When the end was first acknowledged; `Int64.max` if it was not.
    var acknowledgedAt = Int64.max
    var call: Int?
  }

  private let log: CallLog
  private let identities: Identities
  private var ends: [String: End] = [:]

  init(_ log: CallLog, _ identities: Identities) {
    self.log = log
    self.identities = identities
    for (index, call) in log.calls.enumerated() where !call.isMalformed {
      switch (call.way, call.name) {
      case (.http(Scenario.chatNode), "POST /logout"): end(call.arguments["sessionID"]?.string, call, index)
      case (.http(Scenario.usersNode), "DELETE /delete-session"),
        (.http(Scenario.usersNode), "POST /services/logout"):
        end(call.arguments["session_id"]?.string, call, index)
      default: break
      }
    }
    for (name, index) in identities.deletions.map({ (Optional($0.name), $0.call) }) + identities.operations {
      for session in identities.sessions.keys.sorted()
      where name == nil || identities.sessions[session]!.owners.contains(where: { $0.name == name }) {
        end(session, log.calls[index], index)
      }
    }
  }

  private mutating func end(_ session: String?, _ call: LoggedCall, _ index: Int) {
    guard let session, identities.sessions[session] != nil, !call.isTurnedAway else { return }
    var end = ends[session] ?? End()
    end.invoked = min(end.invoked, call.interval.invoked)
    // The user, or an account of the same name that was registered again, may have opened it since.
    let isOfAll = call.name == "DELETE /delete-user" || call.mayOperate
    if call.status == 200, !isOfAll, call.interval.answeredAt < end.acknowledgedAt {
      end.acknowledgedAt = call.interval.answeredAt
      end.call = index
    }
    ends[session] = end
  }

  /// The first call that a session explains neither as one that runs nor as one that has ended.
  func breach() -> Breach? {
    for (index, call) in log.calls.enumerated() {
      guard let session = session(of: call) else { continue }
      if call.saysNoSession {
        // On a socket the answer may be about the session in the event.
        let named = call.arguments["sessionID"]?.string ?? session
        guard
          [session, named].allSatisfy({ mustRun($0, from: call.interval.invoked, to: call.interval.answered) })
        else { continue }
        return Breach(
          "a session ends only when somebody ends it", [log.say(index), "and nobody had ended the session"])
      }
      guard call.status == 200 else { continue }
      guard let opened = identities.sessions[session] else {
        return Breach("a session works only when somebody has opened it", [log.say(index)])
      }
      if session.utf8.count < Self.shortest, call.token == nil {
        return Breach("a session id that could be guessed needs its owner's access token", [log.say(index)])
      }
      if let end = ends[session], opened.openings == 1, call.interval.invokedAt - Self.closing > end.acknowledgedAt {
        return Breach("an ended session is of no use after 5 s", [log.say(end.call!), log.say(index)])
      }
    }
    for socket in log.sockets {
      guard let refusal = socket.refusal, refusal.message == "no such session",
        mustRun(socket.session, from: socket.begun, to: refusal.position)
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

  /// Whether a session certainly ran from one position to another, and needs no access token.
  private func mustRun(_ session: String, from begin: Int, to end: Int) -> Bool {
    guard let opened = identities.sessions[session], opened.begun < begin, session.utf8.count >= Self.shortest else {
      return false
    }
    return ends[session]?.invoked ?? .max > end
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
