import System
import Testing

@testable import Sim

/// Shows that the oracles fail over recovered sockets, with histories written by hand.
@Suite("Recovered sockets")
struct RecoveredTests {
  private let friends = Conversation.between(1, 2)

  /// Bob's socket ends after the first message and is recovered for the third. `missed` are the
  /// messages that come again.
  private func history(missed: [Int64], resumes: Bool = true, user: Int64 = 2) -> ChatHistory {
    let history = ChatHistory(now: { 1 })
    func connect(_ user: Int64, resumes: Int?) {
      history.sockets.append(
        ChatSocketRecord(
          person: "bob", user: user, session: "s", begunAt: 0, connected: history.next(), connectedAt: 0,
          asksForRecovery: true, resumes: resumes))
    }
    func hear(_ number: Int64, on socket: Int) {
      history.sockets[socket].offsets.append((1, "new_message", "\(number)-0"))
      history.sockets[socket].heard.append(
        (
          history.next(), 1,
          MessageFact(conversation: friends, sequence: number, id: number, sender: 1, content: "\(number)")
        ))
    }
    connect(2, resumes: nil)
    for number in 1...3 as ClosedRange<Int64> {
      var sending = Sending(
        person: "ann", sender: 1, conversation: friends, content: "\(number)", clientID: "\(number)",
        interval: history.begin())
      sending.acknowledgements = [Acknowledgement(id: number, sequence: number, timestamp: "")]
      history.end(&sending.interval)
      history.sendings.append(sending)
      if number == 1 {
        hear(1, on: 0)
        history.sockets[0].ended = history.next()
      }
      guard number == 2 else { continue }
      connect(user, resumes: resumes ? 0 : nil)
      for number in missed { hear(number, on: 1) }
    }
    hear(3, on: 1)
    return history
  }

  private func breaches(_ history: ChatHistory) -> [String] {
    let evidence = ChatEvidence(history)
    return [
      ("complete", ChatOracles.complete(evidence)), ("socket-order", ChatOracles.socketOrder(evidence)),
      ("recovered", ChatOracles.recovered(evidence)),
    ].filter { !$0.1.isEmpty }.map(\.0)
  }

  @Test("a recovered socket that receives what it missed breaks nothing, nor does a new one")
  func fine() {
    #expect(breaches(history(missed: [2])).isEmpty)
    #expect(breaches(history(missed: [], resumes: false)).isEmpty)
  }

  @Test("one event too few, one too many, and a wrong order are found")
  func wrong() {
    #expect(breaches(history(missed: [])) == ["complete"])
    #expect(breaches(history(missed: [1, 2])) == ["socket-order", "recovered"])
    #expect(breaches(history(missed: [2, 3])) == ["socket-order", "recovered"])
  }

  @Test("what another user missed is nobody else's")
  func foreign() { #expect(breaches(history(missed: [2], user: 3)).contains("recovered")) }

  @Test("offsets come with each event to those who ask for them, and to nobody else")
  func offsets() {
    let without = history(missed: [2])
    without.sockets[1].offsets[0].offset = nil
    #expect(breaches(without) == ["recovered"])
    let unasked = history(missed: [], resumes: false)
    unasked.sockets[1].asksForRecovery = false
    #expect(breaches(unasked) == ["recovered"])
    let strange = history(missed: [2])
    strange.sockets[1].offsets[0].offset = "2"
    #expect(breaches(strange) == ["recovered"])
  }
}
