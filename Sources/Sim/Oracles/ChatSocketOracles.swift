/// The oracles over the messages that sockets received.
extension ChatOracles {
  /// Each socket receives each message at most once, in the order of the conversation.
  static func socketOrder(_ evidence: ChatEvidence) -> [Breach] {
    for socket in evidence.listeners {
      var last: [Conversation: MessageFact] = [:]
      for (_, time, fact) in socket.heard {
        if let before = last[fact.conversation], before.sequence >= fact.sequence {
          return breach(
            "a socket receives messages in order of seq, each at most once",
            ["\(socket.person) received \(say(before))", "then, at \(VirtualTime.text(time)), \(say(fact))"])
        }
        last[fact.conversation] = fact
      }
    }
    return []
  }

  /// A socket that stays connected receives every message of its conversations from its connection
  /// on. Messages under way at its end may be missing, but none before one that it received.
  static func complete(_ evidence: ChatEvidence) -> [Breach] {
    let model = evidence.membership
    for socket in evidence.listeners {
      let heard = Set(socket.heard.map(\.fact.content))
      var furthest: [Conversation: Int64] = [:]
      for (_, _, fact) in socket.heard {
        furthest[fact.conversation] = max(furthest[fact.conversation] ?? 0, fact.sequence)
      }
      for sending in evidence.sendings {
        guard let answer = sending.acknowledgements.first, sending.interval.invoked > socket.connected,
          !heard.contains(sending.content)
        else { continue }
        // An open socket has received everything at the end of the run. A closed one lacks a
        // message only if a later one arrived.
        guard socket.ended == nil || answer.sequence < furthest[sending.conversation] ?? 0 else { continue }
        guard model.takesPart(socket.user, in: sending.conversation, during: sending.interval) else { continue }
        let end = socket.ended == nil ? "it is still open" : "it received seq \(furthest[sending.conversation] ?? 0)"
        return breach(
          "a connected socket receives every message",
          [
            say(sending),
            "\(socket.person)'s socket, connected at \(VirtualTime.text(socket.connectedAt)), did not receive it, and \(end)",
          ])
      }
    }
    return []
  }

  /// `typing` is emitted when it is handled, and the events of a socket are handled in order. So
  /// who receives a message that the same socket sent later has received the `typing` before.
  static func typing(_ evidence: ChatEvidence) -> [Breach] {
    let deleted = Set(evidence.replaced.flatMap { $0 })
    for typing in evidence.typings where !deleted.contains(typing.sender) && !deleted.contains(typing.peer) {
      let conversation = Conversation.between(typing.sender, typing.peer)
      // They were friends before, and nothing has changed that.
      guard !evidence.membership.hasChanges(conversation),
        evidence.sendings.contains(where: {
          $0.conversation == conversation && $0.isAcknowledged && $0.interval.answered < typing.position
        })
      else { continue }
      let later = Set(
        evidence.acknowledged.filter { $0.line == typing.line && $0.position > typing.position }.map(\.content))
      for socket in evidence.sockets where socket.user == typing.peer && socket.connected < typing.position {
        guard let heard = socket.heard.first(where: { later.contains($0.fact.content) }),
          !evidence.isDisturbed(from: typing.time, to: heard.time)
        else { continue }
        let sent = evidence.typings.count {
          $0.line == typing.line && $0.peer == typing.peer && socket.connected < $0.position
            && $0.position <= typing.position
        }
        let told = socket.typing.count { $0.sender == typing.sender && $0.position < heard.position }
        guard told < sent else { continue }
        return breach(
          "whoever is connected is told that a friend is typing, before what the friend then says",
          [
            "\(VirtualTime.text(typing.time)) \(typing.person) typed, for the \(sent). time on one socket",
            "\(VirtualTime.text(heard.time)) \(socket.person) heard \(say(heard.fact)), and of typing \(told) times",
          ])
      }
    }
    return []
  }

  /// No user receives, over a socket or REST, a message of a conversation that they were not part
  /// of when it was stored.
  static func isPrivate(_ evidence: ChatEvidence) -> [Breach] {
    let model = evidence.membership
    for (fact, user, how) in evidence.sights {
      guard let sending = evidence.sendingByContent[fact.content] else { continue }
      // The message was stored between the first attempt and the first answer, or without an answer
      // at any time after the first attempt.
      if !model.mayTakePart(user, in: fact.conversation, during: stored(sending)) {
        return breach(
          "only users who are in a conversation when a message is stored receive it",
          [say(sending), "\(how) it as user \(user)"])
      }
    }
    for sending in evidence.sendings
    where sending.isAcknowledged && model.areApart(sending.conversation, during: sending.interval) {
      return breach("direct messages are for friends", [say(sending), "one had blocked the other before"])
    }
    return []
  }

  private static func stored(_ sending: Sending) -> Interval {
    var interval = sending.interval
    if !sending.isAcknowledged {
      interval.answered = .max
      interval.answeredAt = .max
    }
    return interval
  }

  /// Presence counts sockets: it changes when the first one opens and when the last one closes, and
  /// it is right in the end.
  static func presence(_ evidence: ChatEvidence) -> [Breach] {
    let model = evidence.membership
    for socket in evidence.listeners {
      var last: [Int64: Bool] = [:]
      for (_, user, isOnline) in socket.presence {
        if last[user] == isOnline, !model.hasChanges(.between(user, socket.user)) {
          return breach(
            "user_status is sent only when a user's first socket opens or their last one closes",
            ["\(socket.person) was told twice in a row that user \(user) is \(isOnline ? "online" : "offline")"])
        }
        last[user] = isOnline
      }
      guard socket.ended == nil else { continue }
      for user in last.keys.sorted() where evidence.isOnlineAtEnd[user] != last[user] {
        guard let truth = evidence.isOnlineAtEnd[user], !model.hasChanges(.between(user, socket.user)) else { continue }
        return breach(
          "the last user_status of a user is correct",
          ["\(socket.person) was last told that user \(user) is \(truth ? "offline" : "online"), which is wrong"])
      }
    }
    for look in evidence.presence {
      guard let truth = evidence.isOnlineAtEnd[look.other], truth != look.isOnline else { continue }
      return breach(
        "is_online says whether a user has an open socket",
        ["\(look.person) read that user \(look.other) is \(look.isOnline ? "online" : "offline"), which is wrong"])
    }
    return []
  }

  /// A deleted account is in no contact list, and a later account of its name is another one.
  static func deleted(_ evidence: ChatEvidence) -> [Breach] {
    let former = Set(evidence.replaced.flatMap { $0.dropLast() })
    for (person, other) in evidence.lastContacts where former.contains(other) {
      return breach(
        "a deleted account is in no contact list",
        ["\(person)'s contacts still have user \(other), whose account was deleted"])
    }
    for users in evidence.replaced where Set(users).count < users.count {
      return breach(
        "a new account with the name of a deleted one has a new user id",
        ["one name had the user ids \(users), in this order"])
    }
    return []
  }

  /// The time in which the sockets of an ended session close (contract), in nanoseconds.
  private static let closing: Int64 = 5_000_000_000

  static func sessionEnded(_ evidence: ChatEvidence) -> [Breach] {
    for sending in evidence.sendings {
      for (session, askedAt) in sending.accepted {
        guard let end = evidence.endedSessions[session], askedAt > end + closing else { continue }
        return breach(
          "an ended session cannot send a message after 5 s",
          [
            "the session ended at \(VirtualTime.text(end)), and this request of \(VirtualTime.text(askedAt)) was accepted:",
            say(sending),
          ])
      }
    }
    for socket in evidence.sockets {
      guard let end = evidence.endedSessions[socket.session] else { continue }
      // The time of the request counts, since the answer may have been under way for long.
      if socket.begunAt > end + closing {
        return breach(
          "an ended session cannot open a socket after 5 s",
          [
            "\(socket.person)'s session ended at \(VirtualTime.text(end))",
            "a socket requested at \(VirtualTime.text(socket.begunAt)) was opened",
          ])
      }
      for (_, time, fact) in socket.heard {
        guard let sending = evidence.sendingByContent[fact.content], sending.interval.invokedAt > end + closing else {
          continue
        }
        return breach(
          "the sockets of an ended session close within 5 s",
          [
            "\(socket.person)'s session ended at \(VirtualTime.text(end))", say(sending),
            "its socket received it at \(VirtualTime.text(time))",
          ])
      }
    }
    return []
  }
}
