import System
import Testing

@testable import Sim

/// Shows that the oracle `typing` fails, with histories written by hand.
@Suite("Typing is told")
struct TypingTests {
  private let friends = Conversation.between(1, 2)

  /// Ann says something to Bob, types, and says something again; Bob hears both.
  private func history(tellsTyping: Bool, blocked: Bool = false) -> ChatHistory {
    let history = ChatHistory(now: { 1 })
    for (person, user) in [("ann", 1), ("bob", 2)] as [(String, Int64)] {
      history.sockets.append(
        ChatSocketRecord(
          person: person, user: user, session: person, begunAt: 0, connected: history.next(), connectedAt: 0))
    }
    say("first", history)
    if blocked {
      var interval = history.begin()
      history.end(&interval)
      history.changes.append(
        Change(kind: .contact(friends, isBlocked: true), interval: interval, succeeded: true))
    }
    history.typings.append(
      Typing(person: "ann", sender: 1, peer: 2, line: 0, position: history.next(), time: 1))
    if tellsTyping { history.sockets[1].typing.append((history.next(), 1)) }
    say("second", history)
    return history
  }

  private func say(_ content: String, _ history: ChatHistory) {
    var sending = Sending(
      person: "ann", sender: 1, conversation: friends, content: content, clientID: content, interval: history.begin())
    history.acknowledged.append((0, sending.interval.invoked, content))
    sending.acknowledgements = [Acknowledgement(id: 1, sequence: 1, timestamp: "")]
    history.sockets[1].heard.append(
      (
        history.next(), 1,
        MessageFact(conversation: friends, sequence: 1, id: 1, sender: 1, content: content)
      ))
    history.end(&sending.interval)
    history.sendings.append(sending)
  }

  @Test("a friend who hears the next message without having been told of typing is a breach")
  func typing() {
    #expect(!ChatOracles.typing(ChatEvidence(history(tellsTyping: false))).isEmpty)
    #expect(ChatOracles.typing(ChatEvidence(history(tellsTyping: true))).isEmpty)
  }

  @Test("nothing is promised during a fault, after a change of the contact, or to a new socket")
  func excuses() {
    #expect(ChatOracles.typing(ChatEvidence(history(tellsTyping: false), disturbances: [0...2])).isEmpty)
    #expect(ChatOracles.typing(ChatEvidence(history(tellsTyping: false, blocked: true))).isEmpty)
    let late = history(tellsTyping: false)
    late.sockets[1] = ChatSocketRecord(
      person: "bob", user: 2, session: "bob", begunAt: 0, connected: late.next(), connectedAt: 0,
      heard: late.sockets[1].heard)
    #expect(ChatOracles.typing(ChatEvidence(late)).isEmpty)
  }
}
