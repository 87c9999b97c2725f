/// One row of a table of events or queue messages: the service checks what it receives against the
/// row, and the AsyncAPI document and `/docs` show it.
public struct MessageRow: Sendable {
  /// Which way a message goes, as the service sees it.
  public enum Direction: String, Sendable {
    case receive
    case send
  }

  /// The name: of an event, or the `TYPE` of a queue message.
  public let name: String
  /// The address of its channel: a Socket.IO namespace, or a queue.
  public let channel: String
  let direction: Direction
  let summary: String
  /// The shape of the data.
  let data: Schema
  /// The shape of the acknowledgement, or of the answer to a request with `reply_to`.
  let answer: Schema?

  /// Makes a row.
  public init(
    _ direction: Direction, _ channel: String, _ name: String, _ summary: String, _ data: Schema,
    answer: Schema? = nil
  ) {
    self.direction = direction
    self.channel = channel
    self.name = name
    self.summary = summary
    self.data = data
    self.answer = answer
  }
}

/// The events or queue messages of a service.
public struct MessageTable: Sendable {
  /// How messages travel.
  public enum Transport: Sendable {
    /// Events of Socket.IO namespaces, at `/socket.io/`.
    case socketIO
    /// `{"TYPE", "DATA"}` in AMQP queues, each behind an exchange.
    case queues(exchanges: [String: String])
  }

  let transport: Transport
  let rows: [MessageRow]

  /// Makes a table.
  public init(_ transport: Transport, _ rows: [MessageRow]) {
    self.transport = transport
    self.rows = rows
  }

  /// The row of a message that the service receives, or nil when it knows no such message.
  func row(_ name: String, in channel: String) -> MessageRow? {
    rows.first { $0.direction == .receive && $0.channel == channel && $0.name == name }
  }

  /// A message that the service takes from a queue, with an example of its data.
  func example(of queue: String) -> JSONValue? {
    rows.first { $0.direction == .receive && $0.channel == queue }
      .map { ["TYPE": .string($0.name), "DATA": $0.data.example] }
  }

  /// The shape of `{"TYPE", "DATA"}` for the messages that the service takes from a queue.
  func body(of queue: String) -> Schema {
    let received = rows.filter { $0.direction == .receive && $0.channel == queue }
    return .object([
      .init("TYPE", .string(.init(values: received.map(\.name)))), .init("DATA", .object([]), isRequired: false),
    ])
  }
}
