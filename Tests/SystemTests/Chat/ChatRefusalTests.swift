import Testing

@testable import System

@Suite("Refusals of the Chat Service")
struct ChatRefusalTests {
  @Test(
    "the REST side answers a refusal with a status",
    arguments: [
      (.invalid("content: must not be empty"), 400), (.contact(.blocked), 400), (.blockedMember, 400),
      (.clientIDReused, 400), (.noSuchSession, 401), (.needsAccessToken, 401), (.wrongCredentials("no"), 401),
      (.notFriends, 403), (.notAdmin, 403), (.noSuchUser(field: "contact"), 404), (.noSuchContact, 404),
      (.noSuchGroup, 404), (.tooManyAttempts("wait", retryAfter: nil), 429), (.unavailable(.userService), 503),
      (.stopping, 503),
    ] as [(ChatRefusal, Int)])
  func status(refusal: ChatRefusal, status: Int) {
    let failure = refusal.failure
    #expect(failure.status == status)
    #expect(failure.message == refusal.message)
  }

  @Test("the Retry-After field of the User Service is passed on")
  func retryAfter() {
    let failure = ChatRefusal.tooManyAttempts("wait", retryAfter: "7").failure
    #expect(failure.fields.map(\.name) == ["retry-after"])
    #expect(failure.fields.map(\.value) == ["7"])
  }

  @Test("a session id has 1 to 64 visible ASCII characters, and a short one could be guessed")
  func sessionIDs() {
    for text in ["", " ", "a b", "é", String(repeating: "a", count: 65)] {
      #expect(ChatSessionID(text) == nil, "\(text)")
    }
    #expect(ChatSessionID(String(repeating: "a", count: 31))?.isGuessable == true)
    #expect(ChatSessionID(String(repeating: "a", count: 32))?.isGuessable == false)
    #expect(ChatSessionID(String(repeating: "a", count: 64)) != nil)
  }
}
