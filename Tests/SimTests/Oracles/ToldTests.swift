@testable import Simulation
@testable import System
import Testing

@testable import Sim

@Suite("What sockets are told")
struct ToldTests {
  /// A log whose time the test sets.
  private final class Stage {
    var now: Int64 = 0
    private(set) lazy var log = CallLog { [unowned self] in self.now }

    func at(_ seconds: Int64) -> CallLog {
      now = seconds * 1_000_000_000
      return log
    }

    func ask(_ seconds: Int64, _ name: String, _ answer: JSONValue) {
      let log = at(seconds)
      log.end(log.begin("ann", at: "chat", name, ["sessionID": "s"]), status: 200, answer)
    }
  }

  private static func contact(_ status: JSONValue) -> JSONValue { ["user_id": 2, "username": "bob", "status": status] }

  /// Ann sees a contact twice while her socket is open. Returns what she was not told.
  private static func missing(
    _ event: (name: String, data: JSONValue)? = nil, ends: Int64 = 100, faults: [ClosedRange<Int64>] = []
  ) -> Int {
    let stage = Stage()
    stage.ask(1, "POST /login", ["sessionID": "s", "user_id": 1, "username": "ann"])
    let socket = stage.at(2).open("ann", namespace: "/", session: "s")
    stage.log.connected(socket)
    stage.ask(3, "GET /getContacts", [contact("new")])
    if let event { stage.at(4).received(socket, event.name, event.data) }
    stage.ask(5, "GET /getContacts", [contact("friend")])
    stage.at(ends).ended(socket)
    return ToldEvidence(stage.log, Identities(stage.log), disturbances: faults, vanishing: .zero, end: 200_000_000_000)
      .missing.count
  }

  @Test("a change of a contact that an open socket does not hear of is found")
  func changes() {
    #expect(Self.missing() == 1)
    #expect(Self.missing(("contact_changed", Self.contact("friend"))) == 0)
    #expect(Self.missing(("contact_changed", Self.contact("blocked"))) == 1)
    #expect(Self.missing(("contact_request", ["user_id": 2, "username": "bob"])) == 1)
  }

  @Test("those whom a change concerns are told of it")
  func concerned() {
    let stage = Stage()
    for (session, number, name) in [("s", 1, "ann"), ("t", 2, "bob")] as [(JSONValue, JSONValue, JSONValue)] {
      stage.ask(1, "POST /login", ["sessionID": session, "user_id": number, "username": name])
    }
    let socket = stage.at(2).open("bob", namespace: "/", session: "t")
    stage.log.connected(socket)
    func missing() -> Int {
      ToldEvidence(stage.log, Identities(stage.log), disturbances: [], vanishing: .zero, end: 200_000_000_000).missing
        .count
    }
    #expect(missing() == 0)
    stage.ask(3, "POST /changeContact", ["message": "done", "contact": Self.contact("blocked")])
    #expect(missing() == 1)
    stage.at(4).received(socket, "contact_changed", ["user_id": 1, "username": "ann", "status": "blocked"])
    #expect(missing() == 0)
    stage.ask(5, "POST /createGroup", ["group_id": 1, "name": "g", "members": ["ann", "bob"]])
    #expect(missing() == 1)
    stage.at(6).received(socket, "group_changed", ["group_id": 1, "name": "g", "members": ["bob", "ann"]])
    #expect(missing() == 0)
  }

  @Test("a socket that ends soon, and one that a fault may have cut off, are not judged")
  func unjudged() {
    #expect(Self.missing(ends: 7) == 0)
    #expect(Self.missing(ends: 12, faults: [6_000_000_000...7_000_000_000]) == 0)
    #expect(Self.missing(ends: 14, faults: [6_000_000_000...7_000_000_000]) == 1)
    #expect(Self.missing(faults: [50_000_000_000...60_000_000_000]) == 1)
  }

  @Test("a change of a group is told, and an event that is refused without an acknowledgement is an error")
  func groupsAndErrors() {
    let stage = Stage()
    stage.ask(1, "POST /login", ["sessionID": "s", "user_id": 1, "username": "ann"])
    let socket = stage.at(2).open("ann", namespace: "/", session: "s")
    stage.log.connected(socket)
    func missing() -> Int {
      ToldEvidence(stage.log, Identities(stage.log), disturbances: [], vanishing: .zero, end: 200_000_000_000).missing
        .count
    }
    stage.ask(3, "GET /getGroups", [["group_id": 1, "name": "g", "members": ["ann"]]])
    stage.ask(4, "POST /addGroupMember", ["group_id": 1, "name": "g", "members": ["ann", "bob"]])
    // By what she sees, and by what she has done.
    #expect(missing() == 2)
    stage.at(5).received(socket, "group_changed", ["group_id": 1, "name": "g", "members": ["bob", "ann"]])
    #expect(missing() == 0)
    for time in [6, 7] as [Int64] { _ = stage.at(time).begin(socket, "typing", [], isMalformed: true, isSilent: true) }
    #expect(missing() == 1)
    stage.at(8).received(socket, "error", ["message": "no"])
    #expect(missing() == 1)
    stage.at(8).received(socket, "error", ["message": "no"])
    #expect(missing() == 0)
  }
}
