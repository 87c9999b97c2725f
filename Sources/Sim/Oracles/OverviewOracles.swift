import System

/// The oracles over the manager's overview when everything has come to rest.
extension SessionOracles {
  /// In the end a user with an open socket is free or with one supervisor. A late report of the end
  /// of an older connection must not make the user unavailable.
  static func present(_ history: SessionHistory) -> [Breach] {
    guard let users = history.overview?["USERS"]?.array else { return [] }
    let latest = history.overviewAskedAt - history.news.nanoseconds
    for socket in history.sockets where (socket.ended ?? .max) > history.overviewAt && socket.connectedAt <= latest {
      let entry = users.first { $0["USER_ID"] == .int(socket.user) }
      guard entry == nil || entry!["STATUS"] == "OFFLINE" else { continue }
      return breach(
        "a user with an open socket is free or assigned to a session",
        [
          "\(socket.person), user \(socket.user), is connected; the manager has \(entry?.text ?? "no such user")"
        ])
    }
    return []
  }

  /// In the end a user who has left for good is offline and with no supervisor.
  static func gone(_ history: SessionHistory) -> [Breach] {
    guard let users = history.overview?["USERS"]?.array else { return [] }
    for (person, user) in history.departed {
      guard let entry = users.first(where: { $0["USER_ID"] == .int(user) }), entry["STATUS"] != "OFFLINE" else {
        continue
      }
      return breach(
        "a user who has left is assigned to no session",
        ["\(person), user \(user), left for good; the manager has \(entry.text)"])
    }
    return []
  }

  /// The email of the session that each user is assigned to, by the manager's overview.
  static func places(_ history: SessionHistory) -> [Int64: String] {
    let sessions = (history.overview?["SESSIONS"]?.array ?? []).filter { $0["STATUS"] != "ended" }
    var places: [Int64: String] = [:]
    for supervisor in history.overview?["SUPERVISORS"]?.array ?? [] {
      let session = sessions.first { $0["SESSION_SUPERVISOR_ID"] == supervisor["SESSION_SUPERVISOR_ID"] }
      guard let email = session?["EMAIL"]?.string else { continue }
      for user in supervisor["LIST_USER_ID"]?.array ?? [] { if let id = user.int { places[id] = email } }
    }
    return places
  }

  /// In the end a session has the users that its customer requested, and the manager remembers how
  /// many are missing.
  static func staffed(_ history: SessionHistory) -> [Breach] {
    let supervisors = history.overview?["SUPERVISORS"]?.array ?? []
    for run in history.runs where run.isFinal && !run.isEnding {
      let sessions = (history.overview?["SESSIONS"]?.array ?? []).filter {
        $0["EMAIL"]?.string == run.email && $0["STATUS"] != "ended"
      }
      guard sessions.count == 1,
        let supervisor = supervisors.first(where: {
          $0["SESSION_SUPERVISOR_ID"] == sessions[0]["SESSION_SUPERVISOR_ID"]
        })
      else { continue }
      let count = (supervisor["LIST_USER_ID"]?.array?.count ?? 0) + Int(supervisor["DEMAND"]?.int ?? 0)
      guard !run.wanted.contains(count) else { continue }
      return breach(
        "the users of a session and its open demand are the number that its customer requested",
        [
          "\(run.email) requested \(run.wanted.lowerBound) to \(run.wanted.upperBound) users; the manager has \(supervisor.text)"
        ])
    }
    return []
  }

  /// In the end every session has one supervisor, and demand is met while users are free.
  static func served(_ history: SessionHistory) -> [Breach] {
    guard let overview = history.overview else { return [] }
    let supervisors = overview["SUPERVISORS"]?.array ?? []
    let hosts = Set((overview["HOSTS"]?.array ?? []).compactMap { $0["HOST"]?.string })
    for supervisor in supervisors where supervisor["STATUS"] != "ended" {
      guard supervisor["STATUS"] == "running", hosts.contains(supervisor["HOST"]?.string ?? "") else {
        return breach("every running session has one supervisor", [supervisor.text])
      }
      if (supervisor["DEMAND"]?.int ?? 0) > 0, (overview["FREE"]?.int ?? 0) > 0 {
        return breach(
          "demand is met while users are free", [supervisor.text, "free users: \(overview["FREE"]?.text ?? "")"])
      }
    }
    var places: [String: String] = [:]
    for supervisor in supervisors {
      for user in supervisor["LIST_USER_ID"]?.array ?? [] {
        let id = supervisor["SESSION_SUPERVISOR_ID"]?.string ?? ""
        if let other = places[user.text] {
          return breach("a user is with at most one supervisor", ["user \(user.text) is with \(other) and with \(id)"])
        }
        places[user.text] = id
      }
    }
    for run in history.runs where run.isFinal && !run.isEnding {
      let sessions = (overview["SESSIONS"]?.array ?? []).filter {
        $0["EMAIL"]?.string == run.email && $0["STATUS"] != "ended"
      }
      if sessions.count != 1 {
        return breach("the manager has each running session once", ["\(run.email): \(sessions.count) sessions"])
      }
    }
    return []
  }
}
