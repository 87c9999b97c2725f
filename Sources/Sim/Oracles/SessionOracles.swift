import System

/// The oracles over sessions, each with its promise.
enum SessionOracles {
  static func judge(_ history: SessionHistory) -> [Violation] {
    acceptedOnce(history) + transcripts(history) + complete(history) + relayed(history) + heard(history)
      + served(history) + present(history) + gone(history) + staffed(history) + setAside(history)
      + history.work.flatMap { workedOff($0) + workedInOrder($0) }
  }

  private static func violation(_ oracle: String, _ promise: String, _ events: [String]) -> [Violation] {
    [Violation(oracle: oracle, promise: promise, events: events)]
  }

  private static func say(_ entry: TranscriptEntry) -> String {
    "SEQ \(entry.sequence): \"\(entry.text)\" of \(entry.from.text)"
  }

  private static func say(_ saying: Saying) -> String {
    let interval = saying.interval
    let times = "\(ChatOracles.seconds(interval.invokedAt))–\(ChatOracles.seconds(interval.answeredAt))"
    return
      "said at \(times) on line \(saying.line), \(saying.isAccepted ? "accepted" : "not accepted"): \"\(saying.text)\""
  }

  static func acceptedOnce(_ history: SessionHistory) -> [Violation] {
    for run in history.runs where run.acceptances > 1 {
      return violation(
        "accepted-once", "of any number of simultaneous requests for one email exactly one is accepted",
        [
          "asked at \(ChatOracles.seconds(run.interval.invokedAt))–\(ChatOracles.seconds(run.interval.answeredAt)) for \(run.email): \(run.acceptances) were accepted"
        ])
    }
    return []
  }

  /// A transcript has every word once, in the order in which its sender sent it.
  static func transcripts(_ history: SessionHistory) -> [Violation] {
    let places = Dictionary(
      history.sayings.enumerated().map { ($0.element.text, $0.offset) }, uniquingKeysWith: { first, _ in first })
    for run in history.runs {
      for broken in [gaps(run.followed, run), gaps(run.transcript, run), rewritten(run)] where !broken.isEmpty {
        return broken
      }
      var seen: Set<String> = []
      var last: [JSONValue: Int] = [:]
      for entry in run.transcript {
        guard seen.insert(entry.text).inserted else {
          return violation(
            "transcript", "a message is in the transcript once", ["\(run.person) read twice: \(say(entry))"])
        }
        guard let place = places[entry.text], history.sayings[place].from == entry.from else {
          return violation(
            "transcript", "a transcript has what was said", ["\(run.person) read \(say(entry)), and nobody said that"])
        }
        // What was never answered may be done at any time after it was asked for: a request that the network held back.
        guard history.sayings[place].isAccepted else { continue }
        if let before = last[entry.from], before > place {
          return violation(
            "transcript", "messages of one sender reach the transcript in the order in which they were sent",
            [
              "\(run.person) read \(say(entry)), which was \(say(history.sayings[place]))",
              "after what was \(say(history.sayings[before]))",
            ])
        }
        last[entry.from] = place
      }
    }
    return []
  }

  private static func gaps(_ entries: [TranscriptEntry], _ run: CustomerRun) -> [Violation] {
    guard let index = entries.indices.first(where: { entries[$0].sequence != Int64($0) + 1 }) else { return [] }
    return violation(
      "transcript", "SEQ is 1, 2, 3 … without a gap",
      ["\(run.person) read, at place \(index + 1), \(say(entries[index]))"])
  }

  /// What somebody who follows a transcript has read is what stands there in the end.
  private static func rewritten(_ run: CustomerRun) -> [Violation] {
    guard run.isFinal, !run.transcript.starts(with: run.followed) else { return [] }
    let index = zip(run.followed, run.transcript).enumerated().first { $1.0 != $1.1 }?.offset ?? run.transcript.count
    return violation(
      "transcript", "what was read of a transcript stays as it was",
      ["\(run.person) read \(say(run.followed[index])), and in the end"]
        + [run.transcript.count > index ? say(run.transcript[index]) : "no more than \(index) messages"])
  }

  /// What was accepted is in the transcript when everything has come to rest.
  static func complete(_ history: SessionHistory) -> [Violation] {
    for (number, run) in history.runs.enumerated() where run.isFinal {
      let texts = Set(run.transcript.map(\.text))
      for saying in history.sayings where saying.from == "CUSTOMER" && saying.line == number && saying.isAccepted {
        guard !texts.contains(saying.text) else { continue }
        return violation(
          "complete", "what a customer said is in the transcript",
          ["\"\(saying.text)\" was accepted at \(ChatOracles.seconds(saying.interval.answeredAt)), and is not there"])
      }
      // On one connection a user stays with one supervisor: what was said between two messages that are there is there as well.
      var present: [Int: ClosedRange<Int>] = [:]
      for (index, saying) in history.sayings.enumerated() where saying.from != "CUSTOMER" && texts.contains(saying.text)
      {
        present[saying.line] = (present[saying.line]?.lowerBound ?? index)...index
      }
      for (index, saying) in history.sayings.enumerated() {
        guard saying.from != "CUSTOMER", saying.isAccepted, present[saying.line]?.contains(index) == true,
          !texts.contains(saying.text), staysOnLine(saying, history)
        else { continue }
        return violation(
          "complete", "what a user of a session said is in the transcript",
          ["\"\(saying.text)\" was accepted at \(ChatOracles.seconds(saying.interval.answeredAt)), and is not there"])
      }
    }
    return []
  }

  /// Whether a message was answered on the socket that it was said on first.
  private static func staysOnLine(_ saying: Saying, _ history: SessionHistory) -> Bool {
    (history.sockets[saying.line].ended ?? .max) > saying.interval.answered
  }

  /// Each user hears what the others say, in the order of the transcript, each word once.
  static func relayed(_ history: SessionHistory) -> [Violation] {
    var transcripts: [String: (run: CustomerRun, entry: TranscriptEntry)] = [:]
    for run in history.runs { for entry in run.transcript { transcripts[entry.text] = (run, entry) } }
    for socket in history.sockets {
      var last: (email: String, sequence: Int64)?
      for (time, entry) in socket.heard {
        if let (run, written) = transcripts[entry.text] {
          guard written == entry else {
            return violation(
              "relayed", "what users hear is what the transcript has",
              [
                "\(socket.person) heard \(say(entry)) at \(ChatOracles.seconds(time))",
                "the transcript has \(say(written))",
              ])
          }
          if let before = last, before.email == run.email, before.sequence >= entry.sequence {
            return violation(
              "relayed", "each message is relayed in the order of the transcript, once",
              ["\(socket.person) heard \(say(entry)) at \(ChatOracles.seconds(time))", "after SEQ \(before.sequence)"])
          }
          last = (run.email, entry.sequence)
        }
        guard entry.from != .int(socket.user) else {
          return violation("relayed", "nobody hears themselves", ["\(socket.person) heard \(say(entry))"])
        }
      }
    }
    return []
  }

  /// When everything has come to rest, whoever has a socket is free or with one supervisor: no news of an older connection's end has
  /// made them vanish.
  static func present(_ history: SessionHistory) -> [Violation] {
    guard let users = history.overview?["USERS"]?.array else { return [] }
    let latest = history.overviewAskedAt - history.news.nanoseconds
    for socket in history.sockets where (socket.ended ?? .max) > history.overviewAt && socket.connectedAt <= latest {
      let entry = users.first { $0["USER_ID"] == .int(socket.user) }
      guard entry == nil || entry!["STATUS"] == "OFFLINE" else { continue }
      return violation(
        "present", "a user whose socket is open is available",
        [
          "\(socket.person), user \(socket.user), is connected, and the manager has: \(entry?.text ?? "nobody of that id")"
        ])
    }
    return []
  }

  /// When everything has come to rest, whoever went for good is offline, and with no supervisor.
  static func gone(_ history: SessionHistory) -> [Violation] {
    guard let users = history.overview?["USERS"]?.array else { return [] }
    for (person, user) in history.departed {
      guard let entry = users.first(where: { $0["USER_ID"] == .int(user) }), entry["STATUS"] != "OFFLINE" else {
        continue
      }
      return violation(
        "gone", "a user who is gone is given to nobody",
        ["\(person), user \(user), went for good, and the manager has: \(entry.text)"])
    }
    return []
  }

  /// What nobody can read is with the dead letters, all of it; it may be there twice.
  static func setAside(_ history: SessionHistory) -> [Violation] {
    guard history.poison > 0, let queues = history.overview?["QUEUES"]?.array else { return [] }
    let letters = queues.first { $0["QUEUE"] == "PARLEY_DEAD_LETTER" }?["MESSAGES"]?.int ?? 0
    guard letters < history.poison else { return [] }
    return violation(
      "dead-letters", "a message that cannot be read goes to the dead letters",
      ["\(history.poison) were put into queues, and \(letters) are there"])
  }

  /// What the broker has confirmed is worked off.
  static func workedOff(_ log: WorkLog) -> [Violation] {
    guard log.confirmed > 0, let lost = (1...log.confirmed).first(where: { !log.isDone($0) }) else { return [] }
    return violation(
      "worked-off", "a confirmed message is delivered until it is worked off",
      ["\(log.worker): message \(lost) of \(log.confirmed) was confirmed, and never worked off"])
  }

  /// Only what was worked off before comes again; all else comes in the order in which it was published.
  static func workedInOrder(_ log: WorkLog) -> [Violation] {
    var last = 0
    for (number, time) in log.done {
      guard number <= last + 1 else {
        return violation(
          "worked-in-order", "the messages of one publisher come to one consumer in their order",
          [
            "\(log.worker): message \(number) was worked off at \(ChatOracles.seconds(time)), before message \(last + 1)"
          ])
      }
      last = max(last, number)
    }
    return []
  }

  /// Who has a message of a socket in the transcript is with that session, and hears over that socket all that comes behind it: up to the
  /// end when they are there still, else up to the last that they heard.
  static func heard(_ history: SessionHistory) -> [Violation] {
    let places = places(history)
    let runs = history.runs.filter(\.isFinal)
    for (line, socket) in history.sockets.enumerated() {
      let said = Set(
        history.sayings.filter { $0.line == line && $0.from != "CUSTOMER" && $0.isAccepted && staysOnLine($0, history) }
          .map(\.text))
      for run in runs {
        guard let first = run.transcript.first(where: { said.contains($0.text) }) else { continue }
        let heard = Set(socket.heard.map(\.entry).filter { run.transcript.contains($0) }.map(\.sequence))
        let stays = (socket.ended ?? .max) > history.overviewAt && places[socket.user] == run.email && !run.isEnding
        let last = stays ? Int64(run.transcript.count) : heard.max() ?? 0
        for entry in run.transcript where entry.sequence > first.sequence && entry.sequence <= last {
          guard entry.from != .int(socket.user), !heard.contains(entry.sequence) else { continue }
          return violation(
            "heard", "a user of a session hears what the others say",
            [
              "\(socket.person) said \(say(first)) over a connection, and over the same one never heard \(say(entry))"
            ])
        }
      }
    }
    return []
  }

  /// With whose session each user is, as the manager has shown when everything had come to rest.
  private static func places(_ history: SessionHistory) -> [Int64: String] {
    let sessions = (history.overview?["SESSIONS"]?.array ?? []).filter { $0["STATUS"] != "ended" }
    var places: [Int64: String] = [:]
    for supervisor in history.overview?["SUPERVISORS"]?.array ?? [] {
      let session = sessions.first { $0["SESSION_SUPERVISOR_ID"] == supervisor["SESSION_SUPERVISOR_ID"] }
      guard let email = session?["EMAIL"]?.string else { continue }
      for user in supervisor["LIST_USER_ID"]?.array ?? [] { if let id = user.int { places[id] = email } }
    }
    return places
  }

  /// When everything has come to rest, a session has as many users as its customer asked for; what is missing is remembered.
  static func staffed(_ history: SessionHistory) -> [Violation] {
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
      return violation(
        "staffed", "a session has the users that its customer asked for, and what is missing is remembered",
        ["\(run.email) asked for \(run.wanted.lowerBound) to \(run.wanted.upperBound), and has: \(supervisor.text)"])
    }
    return []
  }

  /// When everything has come to rest, every session has one supervisor, and demand is met while users are free.
  static func served(_ history: SessionHistory) -> [Violation] {
    guard let overview = history.overview else { return [] }
    let supervisors = overview["SUPERVISORS"]?.array ?? []
    let hosts = Set((overview["HOSTS"]?.array ?? []).compactMap { $0["HOST"]?.string })
    for supervisor in supervisors where supervisor["STATUS"] != "ended" {
      guard supervisor["STATUS"] == "running", hosts.contains(supervisor["HOST"]?.string ?? "") else {
        return violation("served", "every running session has one supervisor", [supervisor.text])
      }
      if (supervisor["DEMAND"]?.int ?? 0) > 0, (overview["FREE"]?.int ?? 0) > 0 {
        return violation(
          "served", "demand is met while users are free", [supervisor.text, "free: \(overview["FREE"]?.text ?? "")"])
      }
    }
    var places: [String: String] = [:]
    for supervisor in supervisors {
      for user in supervisor["LIST_USER_ID"]?.array ?? [] {
        let id = supervisor["SESSION_SUPERVISOR_ID"]?.string ?? ""
        if let other = places[user.text] {
          return violation("served", "a user is in one place", ["user \(user.text) is with \(other) and with \(id)"])
        }
        places[user.text] = id
      }
    }
    for run in history.runs where run.isFinal && !run.isEnding {
      let sessions = (overview["SESSIONS"]?.array ?? []).filter {
        $0["EMAIL"]?.string == run.email && $0["STATUS"] != "ended"
      }
      if sessions.count != 1 {
        return violation(
          "served", "a running session is known to the manager, once", ["\(run.email): \(sessions.count)"])
      }
    }
    return []
  }
}
