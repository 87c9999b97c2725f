@testable import Environment
import Testing

@testable import System

@Suite("The documents of a service")
struct DocumentsTests {
  private let service = ServiceDescription(
    name: "test", title: "Test", version: "1", errorSchema: .object([.init("error", .string())])
  ) { ["error": .string($0)] }

  private let shape = Schema.object([
    .init("name", .string(.init(minimumLength: 2, maximumLength: 9, pattern: "^[a-z]+$")), "a name"),
    .init("id", .string(.init(maximumBytes: 255))),
    .init("count", .integer(minimum: 1, maximum: 77)),
    .init("list", .array(of: .boolean, maximum: 5)),
    .init("who", .either([.integer(), .string(.init(values: ["ALL"]))], "an integer or ALL")),
  ])

  private func documents(_ routes: [Route], _ messages: [MessageTable]) -> (
    open: JSONValue, async: JSONValue, page: String
  ) {
    let api = APIDocument(service: service, routes: routes)
    return (
      api.json, AsyncAPIDocument(service: service, tables: messages).json,
      DocumentationPage(document: api, messages: messages).parts.joined(separator: "host:1")
    )
  }

  @Test("every row of a table appears in its document and on the page, with all its limits")
  func rows() {
    let route = Route("POST", "/things", "Make a thing", body: shape, responses: []) { _ in .json(.null) }
    let events = MessageTable(.socketIO, [MessageRow(.receive, "/", "do_it", "Do it", shape, answer: .object([]))])
    let queues = MessageTable(
      .queues(exchanges: ["Q": "X"]), [MessageRow(.send, "Q", "DO_IT", "Do it", shape)])
    let before = documents([], [])
    #expect(before.open["paths"] == .object([]) && before.async["channels"] == .object([]))
    let after = documents([route], [events, queues])
    let body = after.open["paths"]?["/things"]?["post"]?["requestBody"]?["content"]?["application/json"]?["schema"]
    let event = after.async["channels"]?["root"]?["messages"]?["root_do_it"]?["payload"]
    let message = after.async["channels"]?["Q"]?["messages"]?["Q_DO_IT"]?["payload"]
    for found in [body, event, message?["properties"]?["DATA"]] {
      let properties = found?["properties"]
      #expect(properties?["name"]?["minLength"] == 2)
      #expect(properties?["name"]?["maxLength"] == 9)
      #expect(properties?["name"]?["pattern"] == "^[a-z]+$")
      #expect(properties?["name"]?["description"] == "a name")
      #expect(properties?["id"]?["maxLength"] == 255)
      #expect(properties?["id"]?["description"] == "at most 255 bytes of UTF-8")
      #expect(properties?["count"]?["minimum"] == 1)
      #expect(properties?["count"]?["maximum"] == 77)
      #expect(properties?["list"]?["maxItems"] == 5)
      #expect(properties?["who"]?["anyOf"]?.array?.count == 2)
    }
    #expect(after.async["operations"]?["root_do_it"]?["action"] == "receive")
    #expect(after.async["operations"]?["root_do_it"]?["reply"] != nil)
    #expect(after.async["operations"]?["Q_DO_IT"]?["action"] == "send")
    for text in ["curl -s http://host:1/things", "42[&quot;do_it&quot;", "421[&quot;do_it&quot;", "DO_IT"] {
      #expect(after.page.contains(text) == !text.hasPrefix("42["), "\(text)")
    }
  }

  @Test("a value beyond a limit is refused, and the error names the field and the limit")
  func limits() throws {
    let good: JSONValue = ["name": "abc", "id": "x", "count": 77, "list": [true], "who": "ALL"]
    #expect(shape.fault(in: good) == nil)
    func fault(_ name: String, _ value: JSONValue) -> String? {
      shape.fault(in: .object(good.members!.map { $0.name == name ? .init(name, value) : $0 }))
    }
    let accents = String(repeating: "é", count: 128)
    #expect(fault("id", .string(accents)) == "id: must have at most 255 bytes")
    #expect(fault("id", .string(String(accents.dropLast()))) == nil)
    #expect(fault("count", 78) == "count: must be at most 77")
    #expect(fault("count", 0) == "count: must be at least 1")
    #expect(fault("list", .array(Array(repeating: true, count: 6))) == "list: must have at most 5 elements")
    #expect(fault("who", "SOME") == "who: must be an integer or ALL, not a string")
    #expect(fault("who", 3) == nil)
  }

  static let tables: [(String, MessageTable)] = [
    ("chat", ChatEventTable.table), ("manager", QueueMessages.manager), ("customers", QueueMessages.customerAgent),
    ("user server", QueueMessages.userServerAgent), ("supervisor", QueueMessages.supervisor),
  ]

  @Test("every example fits the schema of its row, and every reference in the document resolves")
  func examples() throws {
    for (name, table) in Self.tables {
      #expect(!table.rows.isEmpty)
      for row in table.rows {
        #expect(row.data.fault(in: row.data.example) == nil, "\(name) \(row.name)")
        if let answer = row.answer { #expect(answer.fault(in: answer.example) == nil, "\(name) \(row.name)") }
      }
      let document = AsyncAPIDocument(service: service, tables: [table]).json
      for operation in try #require(document["operations"]?.members) {
        var found: [JSONValue?] = [operation.value["channel"]]
        found += operation.value["messages"]?.array ?? []
        if let reply = operation.value["reply"] { found += [reply["channel"]] + (reply["messages"]?.array ?? []) }
        for reference in found {
          let path = try #require(reference?["$ref"]?.string)
          var value: JSONValue? = document
          for step in path.dropFirst(2).split(separator: "/") { value = value?[String(step)] }
          #expect(value != nil, "\(path)")
        }
      }
    }
  }

  @Test("the manager accepts a message of every row, and names the field of invalid data")
  func manager() throws {
    for row in QueueMessages.manager.rows where row.direction == .receive {
      let source = try #require(ManagerSource.allCases.first { $0.queue == row.channel })
      // Each of these two requires one of several fields.
      guard row.name != "END_SESSION" else { continue }
      _ = try ManagerInput(QueueMessage(row.name, row.data.example), from: source)
    }
    for (type, data, source, reason) in [
      ("NEW_SESSION", ["USER_COUNT": 1_000_001], .supervisors, "USER_COUNT: "),
      ("NEW_USER", ["USER_ID": .string(String(repeating: "é", count: 128))], .userServer, "USER_ID: "),
      ("USER_RELEASED", ["LIST_USER_ID": [true]], .supervisors, "LIST_USER_ID[0]: "),
      ("START_SESSION", [:], .customerServer, "EMAIL: missing"),
      ("DANCE", [:], .customerServer, "TYPE: \"DANCE\" is not known in UME_CUSTOMER_SERVER"),
    ] as [(String, JSONValue, ManagerSource, String)] {
      let error = #expect(throws: QueueMessage.Malformed.self) {
        _ = try ManagerInput(QueueMessage(type, data), from: source)
      }
      #expect(error?.reason.hasPrefix(reason) == true, "\(type): \(error?.reason ?? "")")
    }
  }

  @Test("the page's commands use the host of the request, unless it is invalid")
  func hosts() {
    #expect(DocumentationPage.host("127.0.0.1:8001") == "127.0.0.1:8001")
    #expect(DocumentationPage.host("[::1]:8001") == "[::1]:8001")
    #expect(DocumentationPage.host("a'; rm -rf ~ #") == "127.0.0.1")
    #expect(DocumentationPage.host("<b>") == "127.0.0.1")
    #expect(DocumentationPage.host(nil) == "127.0.0.1")
  }
}
