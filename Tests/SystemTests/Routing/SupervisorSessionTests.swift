import Testing

@testable import System

/// News that reach a Session Supervisor in another order than the manager sent them. Found by
/// fuzzing.
@Suite("A Session Supervisor and late news")
struct SupervisorSessionTests {
  /// News of user 1, with its position among the manager's messages.
  private enum News {
    case assigned(Int64)
    case disconnected(Int64)
  }

  /// Returns whether user 1 gets a message after the news, and how many replacements were asked
  /// for.
  private func outcome(of news: [News]) throws -> (isPresent: Bool, replacements: Int) {
    let offer = SessionOffer(session: SupervisorID("s1")!, epoch: Epoch(2), data: ["USER_COUNT": 1])
    var session = SupervisorSession(offer, host: HostName("h")!)
    _ = session.take(
      answer: ["STATUS": "SUCCESS", "LIST_USER_ID": [], "DEMAND": 1], to: SupervisorQuestion("2/initialize/s1")!,
      deliveryID: "um-m-10")
    var replacements = 0
    for news in news {
      let (type, data, position): (JSONValue, JSONValue, Int64) =
        switch news {
        case .assigned(let position): ("USERS_ASSIGNED", ["LIST_USER_ID": [1]], position)
        case .disconnected(let position): ("USER_DISCONNECT", ["USER_ID": 1], position)
        }
      let message = QueueMessage("USER_MANAGER_MESSAGE", ["TYPE": type, "DATA": data])
      let out = try session.take(message, deliveryID: "um-m-\(position)") ?? []
      replacements += out.count { $0.type == "ADDITIONAL_USERS" }
    }
    let out = session.take(
      answer: ["STATUS": "SUCCESS", "SEQ": 1, "FROM": "CUSTOMER", "MESSAGE": "a"], to: SupervisorQuestion("2/append")!,
      deliveryID: "um-m-99")
    return (out?.contains { $0.type == "SEND_MESSAGE_TO_USER" } ?? false, replacements)
  }

  @Test("a user who leaves and comes back is present in any order of the news, and is replaced once")
  func reordered() throws {
    #expect(try outcome(of: [.assigned(20), .disconnected(30), .assigned(40)]) == (true, 1))
    #expect(try outcome(of: [.assigned(40), .assigned(20), .disconnected(30)]) == (true, 1))
    #expect(try outcome(of: [.assigned(20), .assigned(40), .disconnected(30)]) == (true, 1))
    #expect(try outcome(of: [.assigned(20), .disconnected(30)]) == (false, 1))
    #expect(try outcome(of: [.disconnected(30), .assigned(20)]) == (false, 1))
    #expect(try outcome(of: [.assigned(40), .disconnected(50), .disconnected(30), .assigned(40)]) == (false, 2))
  }

  @Test("news from before the briefing has no effect")
  func briefed() throws {
    #expect(try outcome(of: [.assigned(5), .disconnected(6)]) == (false, 0))
  }

  @Test("the correlation id of an answer names its question", arguments: [nil, SupervisorID("s1")])
  func questions(session: SupervisorID?) {
    for kind in [SupervisorQuestion.Kind.initialize, .users, .append] {
      let question = SupervisorQuestion(kind, epoch: Epoch(7), session: session)
      let parsed = SupervisorQuestion(question.correlationID)
      #expect(parsed?.kind == kind && parsed?.epoch == Epoch(7) && parsed?.session == session && parsed?.check == nil)
    }
    let check = SupervisorQuestion(.initialize, epoch: Epoch(7), session: SupervisorID("s1"), check: 3)
    #expect(SupervisorQuestion(check.correlationID)?.check == 3)
    for text in ["", "7", "x/users", "7/other", "/", "7//"] { #expect(SupervisorQuestion(text) == nil) }
  }
}
