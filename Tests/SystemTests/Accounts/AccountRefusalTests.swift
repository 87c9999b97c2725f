import Testing

@testable import System

@Suite("Refusals of the User Service")
struct AccountRefusalTests {
  @Test(
    "the HTTP side answers a refusal with a status and fields",
    arguments: [
      (.invalid("email: is empty"), 400, []), (.emailTaken, 400, []), (.usernameTaken, 400, []),
      (.sessionTaken, 400, []), (.tooManySessions, 400, []), (.sessionNotFound, 400, []), (.userNotFound, 400, []),
      (.wrongCredentials, 401, ["www-authenticate: Bearer"]), (.needsAccessToken, 401, ["www-authenticate: Bearer"]),
      (.invalidToken, 401, ["www-authenticate: Bearer"]), (.tokenExpired, 401, ["www-authenticate: Bearer"]),
      (.tokenUsed, 401, ["www-authenticate: Bearer"]), (.loginRevoked, 401, ["www-authenticate: Bearer"]),
      (.accountDeleted, 401, ["www-authenticate: Bearer"]), (.noSuchSession, 404, []), (.noSuchUsername, 404, []),
      (.tooMany(.registrations, retryAfter: .milliseconds(1001)), 429, ["retry-after: 2"]),
      (.tooMany(.failedLogins, retryAfter: .nanoseconds(1)), 429, ["retry-after: 1"]),
      (.tooManyPasswords, 503, ["retry-after: 1"]), (.databaseUnavailable, 503, []),
    ] as [(AccountRefusal, Int, [String])])
  func status(refusal: AccountRefusal, status: Int, fields: [String]) {
    let failure = refusal.failure
    #expect(failure.status == status)
    #expect(failure.message == refusal.message)
    #expect(failure.fields.map { "\($0.name): \($0.value)" } == fields)
  }
}
