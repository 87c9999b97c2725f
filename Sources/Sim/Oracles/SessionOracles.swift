import System

/// The oracles over supervised sessions.
enum SessionOracles {
  static let all = [
    Oracle(
      "accepted-once", "of simultaneous requests for one email, one is accepted", .atOnce, over: \.sessions,
      acceptedOnce),
    Oracle("transcript", "a transcript has each message once, in order", .atOnce, over: \.sessions, transcripts),
    Oracle("complete", "an accepted message is in the transcript", .atRest, over: \.sessions, complete),
    Oracle("relayed", "users receive the transcript in its order", .atOnce, over: \.sessions, relayed),
    Oracle("heard", "a user of a session receives the messages of the others", .atRest, over: \.sessions, heard),
    Oracle("served", "every session has one supervisor and its users", .atRest, over: \.sessions, served),
    Oracle(
      "present", "a user with an open socket is free or assigned to a session", .atRest, over: \.sessions, present),
    Oracle("gone", "a user who has left is assigned to no session", .atRest, over: \.sessions, gone),
    Oracle(
      "staffed", "a session has the number of users that its customer requested", .atRest, over: \.sessions, staffed),
  ]

  static func breach(_ promise: String, _ events: [String]) -> [Breach] { [Breach(promise, events)] }

  static func say(_ entry: TranscriptEntry) -> String {
    "SEQ \(entry.sequence): \"\(entry.text)\" from \(entry.from.text)"
  }

  static func say(_ saying: Saying) -> String {
    let interval = saying.interval
    let times = "\(VirtualTime.text(interval.invokedAt))–\(VirtualTime.text(interval.answeredAt))"
    return
      "\"\(saying.text)\", sent at \(times) on connection \(saying.line), \(saying.isAccepted ? "accepted" : "not accepted")"
  }

  static func acceptedOnce(_ history: SessionHistory) -> [Breach] {
    for run in history.runs where run.acceptances > 1 {
      return breach(
        "of simultaneous requests for one email, one is accepted",
        [
          "\(run.email), requests at \(VirtualTime.text(run.interval.invokedAt))–\(VirtualTime.text(run.interval.answeredAt)): \(run.acceptances) were accepted"
        ])
    }
    return []
  }

  /// A transcript has each message once, and the messages of one sender in their order.
  static func transcripts(_ history: SessionHistory) -> [Breach] {
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
          return breach("a transcript has each message once", ["\(run.person) read twice: \(say(entry))"])
        }
        guard let place = places[entry.text], history.sayings[place].from == entry.from else {
          return breach(
            "a message in the transcript was sent by its sender",
            ["\(run.person) read \(say(entry)), which nobody sent"])
        }
        // A message without an answer may reach the transcript at any later time, if the network
        // delays it.
        guard history.sayings[place].isAccepted else { continue }
        if let before = last[entry.from], before > place {
          return breach(
            "the messages of one sender are in the transcript in the order in which they were sent",
            [
              "\(run.person) read \(say(entry))", "which is \(say(history.sayings[place]))",
              "and comes after \(say(history.sayings[before]))",
            ])
        }
        last[entry.from] = place
      }
    }
    return []
  }

  private static func gaps(_ entries: [TranscriptEntry], _ run: CustomerRun) -> [Breach] {
    guard let index = entries.indices.first(where: { entries[$0].sequence != Int64($0) + 1 }) else { return [] }
    return breach(
      "SEQ is 1, 2, 3, … without a gap",
      ["\(run.person) read, where SEQ \(index + 1) was expected, \(say(entries[index]))"])
  }

  /// The messages that a customer has read while following the transcript do not change.
  private static func rewritten(_ run: CustomerRun) -> [Breach] {
    guard run.isFinal, !run.transcript.starts(with: run.followed) else { return [] }
    let index = zip(run.followed, run.transcript).enumerated().first { $1.0 != $1.1 }?.offset ?? run.transcript.count
    return breach(
      "a transcript that was read does not change",
      ["\(run.person) read \(say(run.followed[index]))"]
        + [run.transcript.count > index ? "later: \(say(run.transcript[index]))" : "later: only \(index) messages"])
  }

  /// An accepted message is in the transcript when everything has come to rest.
  static func complete(_ history: SessionHistory) -> [Breach] {
    for (number, run) in history.runs.enumerated() where run.isFinal {
      let texts = Set(run.transcript.map(\.text))
      for saying in history.sayings where saying.from == "CUSTOMER" && saying.line == number && saying.isAccepted {
        guard !texts.contains(saying.text) else { continue }
        return breach(
          "an accepted message of a customer is in the transcript",
          ["\"\(saying.text)\" was accepted at \(VirtualTime.text(saying.interval.answeredAt)) and is missing"])
      }
      // On one connection a user stays with one supervisor, so a message between two messages of
      // the transcript is in the transcript too.
      var present: [Int: ClosedRange<Int>] = [:]
      for (index, saying) in history.sayings.enumerated() where saying.from != "CUSTOMER" && texts.contains(saying.text)
      {
        present[saying.line] = (present[saying.line]?.lowerBound ?? index)...index
      }
      for (index, saying) in history.sayings.enumerated() {
        guard saying.from != "CUSTOMER", saying.isAccepted, present[saying.line]?.contains(index) == true,
          !texts.contains(saying.text), staysOnLine(saying, history)
        else { continue }
        return breach(
          "an accepted message of a user is in the transcript",
          ["\"\(saying.text)\" was accepted at \(VirtualTime.text(saying.interval.answeredAt)) and is missing"])
      }
    }
    return []
  }

  /// Whether a message was acknowledged on the socket on which it was first sent.
  private static func staysOnLine(_ saying: Saying, _ history: SessionHistory) -> Bool {
    (history.sockets[saying.line].ended ?? .max) > saying.interval.answered
  }

  /// Each user receives the messages of the others once, in the order of the transcript.
  static func relayed(_ history: SessionHistory) -> [Breach] {
    var transcripts: [String: (run: CustomerRun, entry: TranscriptEntry)] = [:]
    for run in history.runs { for entry in run.transcript { transcripts[entry.text] = (run, entry) } }
    for socket in history.sockets {
      var last: (email: String, sequence: Int64)?
      for (time, entry) in socket.heard {
        if let (run, written) = transcripts[entry.text] {
          guard written == entry else {
            return breach(
              "users receive messages as the transcript has them",
              [
                "\(socket.person) received \(say(entry)) at \(VirtualTime.text(time))",
                "the transcript has \(say(written))",
              ])
          }
          if let before = last, before.email == run.email, before.sequence >= entry.sequence {
            return breach(
              "users receive each message once, in the order of the transcript",
              ["\(socket.person) received \(say(entry)) at \(VirtualTime.text(time))", "after SEQ \(before.sequence)"])
          }
          last = (run.email, entry.sequence)
        }
        guard entry.from != .int(socket.user) else {
          return breach("a user does not receive their own messages", ["\(socket.person) received \(say(entry))"])
        }
      }
    }
    return []
  }

  /// A user with a message in the transcript belongs to the session. Over the socket of that
  /// message they receive all later messages: to the end if they are still assigned, else up to the
  /// last one that they received.
  static func heard(_ history: SessionHistory) -> [Breach] {
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
          return breach(
            "a user of a session receives the messages of the others",
            [
              "\(socket.person) sent \(say(first)) and did not receive, on the same connection, \(say(entry))"
            ])
        }
      }
    }
    return []
  }
}
