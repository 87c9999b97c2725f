/// The oracles over stored messages.
extension ChatOracles {
  /// A message is stored at most once, however often it was sent.
  static func storedOnce(_ evidence: ChatEvidence) -> [Breach] {
    let promise = "a repeated client_id gets the first answer again and stores nothing"
    for sending in evidence.sendings where Set(sending.acknowledgements).count > 1 {
      return breach(promise, [say(sending)])
    }
    var places: [String: MessageFact] = [:]
    for (fact, _, how) in evidence.sights {
      if let other = places[fact.content], other.sequence != fact.sequence || other.id != fact.id {
        return breach(promise, [say(other), "\(how) \(say(fact))"])
      }
      places[fact.content] = fact
    }
    return []
  }

  private struct Place: Hashable {
    let conversation: Conversation
    let sequence: Int64
  }

  /// All users see the same message at the same place, and no place is empty.
  static func oneOrder(_ evidence: ChatEvidence) -> [Breach] {
    let model = evidence.membership
    var places: [Place: (fact: MessageFact, how: String)] = [:]
    for (fact, _, how) in evidence.sights {
      let place = Place(conversation: fact.conversation, sequence: fact.sequence)
      if let known = places[place] {
        guard known.fact == fact else {
          return breach(
            "all participants see the same message at each seq",
            ["\(known.how) \(say(known.fact))", "\(how) \(say(fact))"])
        }
      } else {
        places[place] = (fact, how)
      }
      guard let sending = evidence.sendingByContent[fact.content], sending.conversation == fact.conversation,
        sending.sender == fact.sender
      else {
        return breach(
          "a received message was sent, with this content, by this sender", ["\(how) \(say(fact))", "nobody sent that"])
      }
      if let answer = sending.acknowledgements.first, answer.id != fact.id || answer.sequence != fact.sequence {
        return breach(
          "an acknowledgement has the id and seq of the stored message", [say(sending), "\(how) \(say(fact))"])
      }
    }
    for reading in evidence.readings where reading.isWhole {
      if case .group(let group) = reading.conversation, model.hasLeavers(group) { continue }
      guard let first = reading.facts.first else { continue }
      let begins = if case .direct = reading.conversation { Int64(1) } else { first.sequence }
      for (index, fact) in reading.facts.enumerated() where fact.sequence != begins + Int64(index) {
        return breach(
          "seq is 1, 2, 3, … without a gap",
          ["\(reading.person) read, where seq \(begins + Int64(index)) was expected, \(say(fact))"])
      }
    }
    return []
  }

  /// A message that was acknowledged or received is there when everything has come to rest.
  static func durable(_ evidence: ChatEvidence) -> [Breach] {
    let model = evidence.membership
    for reading in evidence.readings where reading.isWhole {
      let contents = Set(reading.facts.map(\.content))
      for sending in evidence.sendings
      where sending.conversation == reading.conversation && sending.isAcknowledged
        && !contents.contains(sending.content)
      {
        guard model.takesPart(reading.user, in: reading.conversation, during: sending.interval) else { continue }
        return breach(
          "an acknowledged message is never lost",
          [say(sending), "\(reading.person) read the whole conversation, and the message is missing"])
      }
    }
    let read = Set(evidence.readings.filter(\.isWhole).flatMap { $0.facts.map(\.content) })
    for socket in evidence.sockets {
      for (_, time, fact) in socket.heard {
        guard case .direct = fact.conversation, !read.contains(fact.content) else { continue }
        guard evidence.readings.contains(where: { $0.isWhole && $0.conversation == fact.conversation }) else {
          continue
        }
        return breach(
          "a message is stored before it is delivered",
          [
            "\(VirtualTime.text(time)) \(socket.person) received \(say(fact))",
            "at the end of the run it is not stored",
          ])
      }
    }
    return []
  }
}
