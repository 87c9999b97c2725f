import System
import Testing

@testable import Sim

@Suite("The oracles over deleted chat accounts")
struct DeletedAccountTests {
  private static func history() -> ChatHistory {
    let history = ChatHistory(now: { 0 })
    for (user, name) in [(1, "ann"), (2, "bob"), (2, "bob"), (3, "bob")] as [(Int64, String)] {
      history.note(user, of: name)
    }
    return history
  }

  private static func deleted(_ history: ChatHistory) -> [Breach] { ChatOracles.deleted(ChatEvidence(history)) }

  @Test("a contact whose account was deleted is found in a list")
  func ghosts() {
    let history = Self.history()
    history.lastContacts = [("ann", 3), ("bob", 1)]
    #expect(Self.deleted(history).isEmpty)
    history.lastContacts.append(("ann", 2))
    #expect(Self.deleted(history).count == 1)
  }

  @Test("a later account with the id of an earlier one is found")
  func sameAccount() {
    let history = Self.history()
    history.note(2, of: "bob")
    #expect(Self.deleted(history).count == 1)
  }

  @Test("a change requested by name may have been made to each account of the name, and to no other")
  func namesakes() {
    func change(_ user: Int64, isAdded: Bool, _ place: Int) -> Change {
      Change(
        kind: .member(group: 7, user: user, isAdded: isAdded),
        interval: Interval(invoked: place, answered: place + 1, invokedAt: 0, answeredAt: 0), succeeded: true)
    }
    let model = MembershipModel(
      [change(1, isAdded: true, 0), change(2, isAdded: true, 0), change(2, isAdded: false, 2)], replaced: [[2, 3]])
    let later = Interval(invoked: 10, answered: 11, invokedAt: 0, answeredAt: 0)
    #expect(model.takesPart(1, in: .group(7), during: later))
    for user in [2, 3] as [Int64] {
      #expect(model.mayTakePart(user, in: .group(7), during: later))
      #expect(!model.takesPart(user, in: .group(7), during: later))
    }
    #expect(!model.mayTakePart(4, in: .group(7), during: later))
  }
}
