import Environment
import Sim
import System

/// The HTTP endpoints of `parley explore`.
///
/// They are for one person on this machine. `Access.service` without a token refuses other
/// machines, other hosts (DNS rebinding), proxies and other pages. In addition each request has to
/// show the key of the URL, since other users of the machine reach its loopback, too.
enum ExploreRoutes {
  static let description = ServiceDescription(
    name: "explore", title: "Explorer of a simulated run", version: Release.version,
    errorSchema: .object([.init("message", .string())])
  ) { ["message": .string($0)] }

  private static let number = Schema.integer(minimum: 0, maximum: Int64(UInt32.max))

  static func table(_ explorer: Explorer) -> [Route] {
    [page(explorer), moment(explorer), branches(explorer)]
  }

  private static func check(_ key: String?, _ explorer: Explorer) throws {
    guard let key, Cryptography.constantTimeEqual(key.utf8, explorer.key.utf8) else {
      throw HTTPFailure(401, "the key of the URL is missing or wrong")
    }
  }

  private static func page(_ explorer: Explorer) -> Route {
    Route(
      "GET", "/", "The page of a run", access: .service,
      arguments: [.init("key", .string(), isRequired: false), .init("run", number, isRequired: false)],
      responses: [.init(200, "The page", .string(), contentType: "text/html; charset=utf-8")]
    ) { call in
      try check(call.body["key"]?.string, explorer)
      let nonce = Hex.encode(explorer.randomBytes(16))
      let policy =
        "default-src 'none'; script-src 'nonce-\(nonce)'; style-src 'nonce-\(nonce)'; connect-src 'self'; base-uri 'none';"
        + " form-action 'none'; frame-ancestors 'none'"
      let text = try await explorer.page(call.body["run"]?.int ?? 0, nonce: nonce)
      return .response(
        HTTPResponse(
          status: 200,
          fields: [
            ("content-type", "text/html; charset=utf-8"), ("content-security-policy", policy),
            ("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer"), ("cache-control", "no-store"),
          ], body: Array(text.utf8)))
    }
  }

  private static func moment(_ explorer: Explorer) -> Route {
    Route(
      "GET", "/moment", "The state of the world at a step of a run", access: .service,
      arguments: [.init("run", number), .init("step", number)], responses: [.init(200, "The state", .any)]
    ) { call in
      try check(call.bearerToken, explorer)
      return .json(try await explorer.moment(call.body["run"]?.int ?? 0, step: call.body["step"]?.int ?? 0))
    }
  }

  private static func branches(_ explorer: Explorer) -> Route {
    Route(
      "POST", "/branches", "Go on with another job or with a fault", access: .service,
      body: .object([
        .init("run", number), .init("step", number), .init("job", number, isRequired: false),
        .init("fault", .string(), isRequired: false), .init("node", .string(), isRequired: false),
      ]), responses: [.init(200, "The branch", .any)]
    ) { call in
      try check(call.bearerToken, explorer)
      let (body, step) = (call.body, Int(call.body["step"]?.int ?? 0))
      let change: NewBranch.Change
      if let job = body["job"]?.int {
        change = .job(Int(job))
      } else if let fault = FaultHere(rawValue: call.string("fault")), let node = body["node"]?.string {
        change = .fault(fault, node: node)
      } else {
        throw HTTPFailure(400, "a branch has a job, or a fault and a node")
      }
      return .json(try await explorer.branch(body["run"]?.int ?? 0, NewBranch(step: step, change)))
    }
  }
}
