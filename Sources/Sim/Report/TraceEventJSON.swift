import Environment
import Simulation
import System

/// The JSON forms of an event: a line of a trace, and the complete event for another process.
extension TraceEvent {
  /// The event as JSON: `{"at":NANOSECONDS,"step":…,"node":…,"event":…,"detail":…}`.
  public var json: JSONValue {
    [
      "at": .int(at), "step": .int(Int64(step)), "node": .string(node), "event": .string("\(kind)"),
      "detail": .string(detail),
    ]
  }

  /// The event as JSON, with everything that a `RunRecord` needs.
  public var wholeJSON: JSONValue {
    var members: [JSONValue.Member] = [
      .init("at", .int(at)), .init("step", .int(Int64(step))), .init("node", .string(node)),
      .init("kind", .int(Int64(kind.rawValue))),
      .init("detail", .string(detail)),
    ]
    if let transfer {
      let parts: [JSONValue] = [
        .int(Int64(transfer.connection)), .string(transfer.peer), .string(Hex.encode(transfer.bytes)),
        .int(Int64(transfer.number)),
      ]
      members.append(.init("transfer", .array(parts)))
    }
    if let record {
      let fields = record.fields.flatMap { [JSONValue.string($0.key), .string($0.value.text)] }
      members.append(.init("log", .array([.int(Int64(record.level.rawValue)), .string(record.event)] + fields)))
    }
    return .object(members)
  }

  /// Reads the form that `wholeJSON` gives; nil for anything else.
  public init?(json: JSONValue) {
    guard let at = json["at"]?.int, let node = json["node"]?.string, let detail = json["detail"]?.string,
      let kind = json["kind"]?.int.flatMap({ UInt8(exactly: $0) }).flatMap(Trace.Kind.init(rawValue:))
    else { return nil }
    self.init(at: at, node: node, kind: kind, detail: detail)
    step = Int(json["step"]?.int ?? 0)
    if let parts = json["transfer"]?.array, parts.count == 4, let connection = parts[0].int,
      let peer = parts[1].string, let bytes = parts[2].string.flatMap({ Hex.decode($0.utf8) }),
      let number = parts[3].int
    {
      transfer = Transfer(connection: Int(connection), peer: peer, bytes: bytes, number: Int(number))
    }
    if let parts = json["log"]?.array, parts.count >= 2, let event = parts[1].string,
      let level = parts[0].int.flatMap({ Log.Level(rawValue: Int($0)) })
    {
      let texts = parts.dropFirst(2).map { $0.string ?? "" }
      let fields = stride(from: 0, to: texts.count - 1, by: 2).map { (texts[$0], Log.Value.string(texts[$0 + 1])) }
      record = Log.Record(level: level, node: node, event: event, fields: fields)
    }
  }
}
