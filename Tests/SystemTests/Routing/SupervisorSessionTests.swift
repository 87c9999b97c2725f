import Testing

@testable import System

/// What a Session Supervisor makes of news that come in another order than the manager's. Found by fuzzing.
@Suite("News that come late to a Session Supervisor")
struct SupervisorSessionTests {
  private enum News {
    case assigned(Int64)
    case gone(Int64)
  }

  /// Who is told of a message after these news of user 1, each with its place in the manager's order; and how often a replacement is asked for.
  private func told(after news: [News]) throws -> (told: Bool, replacements: Int) {
    var session = SupervisorSession(id: SupervisorID("s1")!, epoch: 2, data: ["USER_COUNT": 1], host: "h")
    _ = session.take(
      answer: ["STATUS": "SUCCESS", "LIST_USER_ID": [], "DEMAND": 1], to: "2/initialize/s1", deliveryID: "um-m-10")
    var replacements = 0
    for news in news {
      let (type, data, place): (JSONValue, JSONValue, Int64) =
        switch news {
        case .assigned(let place): ("USERS_ASSIGNED", ["LIST_USER_ID": [1]], place)
        case .gone(let place): ("USER_DISCONNECT", ["USER_ID": 1], place)
        }
      let message = QueueMessage("USER_MANAGER_MESSAGE", ["TYPE": type, "DATA": data])
      let out = try session.take(message, deliveryID: "um-m-\(place)") ?? []
      replacements += out.count { $0.type == "ADDITIONAL_USERS" }
    }
    let out = session.take(
      answer: ["STATUS": "SUCCESS", "SEQ": 1, "FROM": "CUSTOMER", "MESSAGE": "a"], to: "2/append", deliveryID: "um-m-99"
    )
    return (out?.contains { $0.type == "SEND_MESSAGE_TO_USER" } ?? false, replacements)
  }

  @Test(
    "whoever came again after they had left is there, in whatever order that is heard; each departure is made up for")
  func reordered() throws {
    #expect(try told(after: [.assigned(20), .gone(30), .assigned(40)]) == (true, 1))
    #expect(try told(after: [.assigned(40), .assigned(20), .gone(30)]) == (true, 1))
    #expect(try told(after: [.assigned(20), .assigned(40), .gone(30)]) == (true, 1))
    #expect(try told(after: [.assigned(20), .gone(30)]) == (false, 1))
    #expect(try told(after: [.gone(30), .assigned(20)]) == (false, 1))
    #expect(try told(after: [.assigned(40), .gone(50), .gone(30), .assigned(40)]) == (false, 2))
  }

  @Test("what the briefing accounts for is no news")
  func briefed() throws {
    #expect(try told(after: [.assigned(5), .gone(6)]) == (false, 0))
  }
}
