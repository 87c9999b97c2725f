import Foundation
import Testing

@testable import System

/// The codec against the table of methods, and the tables against each other.
@Suite("Tables of AMQP")
struct AMQPTableTests {
  /// A method with a value in each field, encoded from the table alone.
  private static func payload(_ row: AMQPMethodRow) -> [UInt8] {
    var writer = AMQPWriter()
    writer.method(row.classID, row.id)
    for (index, field) in row.fields.enumerated() {
      switch field.type {
      case .bit: writer.flag(index % 2 == 0)
      case .short: writer.number(field.name == "version" ? UInt16(9) : field.name == "reserved" ? 0 : UInt16(index))
      case .long: writer.number(UInt32(index))
      case .longLong: writer.number(UInt64(index))
      case .shortString:
        // Reserved strings, and the realm of AMQP 0-8, are not kept.
        writer.shortString(field.name == "reserved" ? "" : field.name == "realm" ? "/data" : "text\(index)")
      case .longString: writer.longString(field.name == "reserved" ? [] : [UInt8(index)])
      case .table: writer.table(["name": .int32(Int32(index))])
      }
    }
    return writer.bytes
  }

  @Test("each method of the table is read, and written again as it was", arguments: AMQPMethodRow.all.map(\.name))
  func rows(name: String) throws {
    let row = try #require(AMQPMethodRow.all.first { $0.name == name })
    let bytes = Self.payload(row)
    guard row.isServed else {
      let error = #expect(throws: AMQPError.self) { try AMQPMethod(parsing: bytes[...]) }
      #expect(error == AMQPError(540, "NOT_IMPLEMENTED - method \(name)"))
      return
    }
    let method = try AMQPMethod(parsing: bytes[...])
    #expect(method.id == UInt32(row.classID) << 16 | UInt32(row.id))
    // Fixed fields, and the bits of AMQP 0-8, are written with their only value.
    guard !["access.request", "connection.open"].contains(name) else { return }
    #expect(method.bytes == bytes)
  }

  @Test("no method is in the table twice")
  func distinct() {
    #expect(Set(AMQPMethodRow.all.map(\.name)).count == AMQPMethodRow.all.count)
    #expect(Set(AMQPMethodRow.all.map { [$0.classID, $0.id] }).count == AMQPMethodRow.all.count)
  }

  @Test("each queue argument takes a good value and refuses a bad one", arguments: QueueArgument.all.map(\.name))
  func arguments(name: String) throws {
    let row = try #require(QueueArgument.row(name))
    let good: [AMQPValue] =
      switch row.kind {
      case .any: [.void]
      case .boolean: [.boolean(true)]
      case .name: [.text("n")]
      case .choice(let choices): choices.map(AMQPValue.text)
      case .number(let range): [.int64(range.lowerBound), .int64(range.upperBound)]
      }
    var base = AMQPTable()
    if row.types == .quorum { base["x-queue-type"] = .text("quorum") }
    if name == "x-dead-letter-routing-key" { base["x-dead-letter-exchange"] = .text("") }
    for value in good {
      var table = base
      table[name] = value
      guard row.effect != .refused else {
        #expect(throws: AMQPError.self) { try QueueRules(table) }
        continue
      }
      let rules = try QueueRules(table)
      #expect(rules == QueueRules(stored: rules.arguments))
      #expect(rules == (try QueueRules(rules.arguments)))
    }
    var bad: [AMQPValue] = [.void, .table([:])]
    if case .number(let range) = row.kind {
      bad += [.int64(range.upperBound + 1), .int64(range.lowerBound - 1), .text("1"), .boolean(true)]
    }
    if case .choice = row.kind { bad += [.text("other"), .int8(1)] }
    for value in bad where row.kind != .any {
      var table = base
      table[name] = value
      #expect(throws: AMQPError.self, "\(value)") { try QueueRules(table) }
      // A stored value that is bad never stops the broker.
      _ = QueueRules(stored: table)
    }
  }

  /// A row of the table in the documentation.
  private static func line(_ row: QueueArgument) -> String {
    let values =
      switch row.kind {
      case .any: "any"
      case .boolean: "a boolean"
      case .name: "a name"
      case .choice(let choices): choices.map { "`\($0)`" }.joined(separator: ", ")
      case .number(let range): "\(range.lowerBound) to \(range.upperBound)"
      }
    let effect =
      switch row.effect {
      case .served: ""
      case .none: "No effect. "
      case .refused: "Refused. "
      }
    return "| `\(row.name)` | \(values) | \(row.types) | \(effect)\(row.meaning) |"
  }

  @Test("docs/protocols.md has the table of queue arguments")
  func documented() throws {
    let docs = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../../docs/protocols.md")
    let text = try String(contentsOf: docs, encoding: .utf8)
    let rows = text.split(separator: "\n").filter { $0.hasPrefix("| `x-") && $0.split(separator: "|").count == 4 }
    let documented = rows.map(String.init).filter { row in
      QueueArgument.all.contains { row.hasPrefix("| `\($0.name)` |") }
    }
    #expect(documented == QueueArgument.all.map(Self.line))
  }
}
