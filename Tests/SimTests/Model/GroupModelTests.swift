import Simulation
import Testing

@testable import Sim

@Suite("The model of a group")
struct GroupModelTests {
  private typealias Input = GroupModel.Input

  private static func isExplained(_ inputs: [Input]) -> Bool { Sequence.isExplained(GroupModel.self, inputs) }

  private static let ann = GroupModel.Member(user: 1, name: "ann")
  private static let bob = GroupModel.Member(user: 2, name: "bob")
  private static let cyd = GroupModel.Member(user: 3, name: "cyd")
  private static let created: [Input] = [.create(by: 1, [ann, bob], names: ["ann", "bob"])]

  private static func add(_ member: GroupModel.Member, by: Int64, _ outcome: Outcome<[String]>) -> Input {
    .add(member, by: by, outcome, mayBeBlocked: false)
  }

  @Test("an admin adds and removes anyone, a member removes itself")
  func rights() {
    #expect(Self.isExplained(Self.created + [Self.add(Self.cyd, by: 1, .done(["ann", "bob", "cyd"]))]))
    #expect(Self.isExplained(Self.created + [Self.add(Self.cyd, by: 2, .refused(403))]))
    #expect(!Self.isExplained(Self.created + [Self.add(Self.cyd, by: 2, .done(["ann", "bob", "cyd"]))]))
    #expect(!Self.isExplained(Self.created + [Self.add(Self.cyd, by: 1, .refused(403))]))
    #expect(Self.isExplained(Self.created + [Self.add(Self.bob, by: 1, .refused(400))]))
    #expect(Self.isExplained(Self.created + [.remove(2, by: 1, .done(["ann"]))]))
    #expect(Self.isExplained(Self.created + [.remove(2, by: 2, .done(["ann"]))]))
    #expect(!Self.isExplained(Self.created + [.remove(1, by: 2, .done(["bob"]))]))
    #expect(Self.isExplained(Self.created + [.remove(1, by: 2, .refused(403))]))
    #expect(!Self.isExplained(Self.created + [.remove(2, by: 1, .refused(404))]))
  }

  @Test("to one who is not a member a group does not exist")
  func strangers() {
    let others: [Input] = [
      Self.add(Self.cyd, by: 3, .refused(404)), .remove(1, by: 3, .refused(404)), .read(by: 3, PageRequest(), nil),
      .list(3, nil), .refuse(by: 3),
    ]
    for input in others {
      #expect(Self.isExplained(Self.created + [input]))
      #expect(Self.isExplained([input]), "no group was created")
    }
    #expect(!Self.isExplained(Self.created + [.read(by: 3, PageRequest(), [])]))
    #expect(!Self.isExplained(Self.created + [.store(by: 3, 1, seenBy: [])]))
    #expect(!Self.isExplained(Self.created + [.refuse(by: 2)]))
  }

  @Test("when the last admin leaves, the oldest member becomes admin")
  func lastAdmin() {
    let left =
      Self.created + [
        Self.add(Self.cyd, by: 1, .done(["ann", "bob", "cyd"])), .remove(1, by: 1, .done(["bob", "cyd"])),
      ]
    #expect(Self.isExplained(left + [.remove(3, by: 2, .done(["bob"]))]))
    #expect(Self.isExplained(left + [.remove(2, by: 3, .refused(403))]))
    #expect(!Self.isExplained(left + [.remove(2, by: 3, .done(["cyd"]))]))
  }

  @Test("a message is seen by those who were members when it was stored, and by them alone")
  func messages() {
    let added =
      Self.created + [
        .store(by: 2, 1, seenBy: [1, 2]), Self.add(Self.cyd, by: 1, .done(["ann", "bob", "cyd"])),
        .store(by: 3, 2, seenBy: [1, 2, 3]),
      ]
    #expect(Self.isExplained(added + [.read(by: 3, PageRequest(), [2]), .read(by: 1, PageRequest(), [1, 2])]))
    #expect(!Self.isExplained(added + [.read(by: 3, PageRequest(), [1, 2])]))
    #expect(!Self.isExplained(added + [.read(by: 1, PageRequest(), [1])]))
    #expect(!Self.isExplained(Self.created + [.store(by: 2, 1, seenBy: [3])]))
    let returned =
      added + [
        .remove(3, by: 3, .done(["ann", "bob"])), .store(by: 1, 3, seenBy: [1]),
        Self.add(Self.cyd, by: 1, .done(["ann", "bob", "cyd"])), .store(by: 1, 4, seenBy: [3]),
      ]
    #expect(Self.isExplained(returned + [.read(by: 3, PageRequest(), [2, 4])]))
    #expect(Self.isExplained(returned + [.read(by: 3, PageRequest(after: 2), [4])]))
  }

  @Test("nobody is put into a group across a block")
  func blocks() {
    let refused = Input.add(Self.cyd, by: 1, .refused(400), mayBeBlocked: true)
    #expect(Self.isExplained(Self.created + [refused]))
    #expect(!Self.isExplained(Self.created + [Self.add(Self.cyd, by: 1, .refused(400))]))
    #expect(!Self.isExplained(Self.created + [.add(Self.cyd, by: 2, .refused(400), mayBeBlocked: true)]))
  }
}
