/// A row of a table of events or queue messages. The service validates messages against the row;
/// the AsyncAPI document and `/docs` show it.
public struct MessageRow: Sendable {
  /// The direction of a message, from the view of the service.
  public enum Direction: String, Sendable {
    case receive
    case send
  }

  /// The name of an event, or the `TYPE` of a queue message.
  public let name: String
  /// The address of the channel: a Socket.IO namespace or a queue.
  public let channel: String
  package let direction: Direction
  let summary: String
  /// The shape of the data.
  package let data: Schema
  /// The shape of the acknowledgement, or of the answer to a request with `reply_to`.
  package let answer: Schema?
  /// The field whose value makes a repeated message of one sender the same message; nil if there is
  /// none.
  package let key: String?

  /// Makes a row.
  public init(
    _ direction: Direction, _ channel: String, _ name: String, _ summary: String, _ data: Schema,
    answer: Schema? = nil, key: String? = nil
  ) {
    self.direction = direction
    self.channel = channel
    self.name = name
    self.summary = summary
    self.data = data
    self.answer = answer
    self.key = key
  }
}

/// The events or queue messages of a service.
public struct MessageTable: Sendable {
  /// The transport of the messages.
  public enum Transport: Sendable {
    /// Events in Socket.IO namespaces at `/socket.io/`.
    case socketIO
    /// `{"TYPE", "DATA"}` in AMQP queues, each bound to an exchange.
    case queues(exchanges: [String: String])
  }

  package let transport: Transport
  package let rows: [MessageRow]
  /// What a client has to know about a channel, by its address.
  let notes: [String: String]

  /// Makes a table.
  public init(_ transport: Transport, _ rows: [MessageRow], notes: [String: String] = [:]) {
    self.transport = transport
    self.rows = rows
    self.notes = notes
  }

  /// The row of a message that the service receives, or nil for an unknown message.
  func row(_ name: String, in channel: String) -> MessageRow? {
    rows.first { $0.direction == .receive && $0.channel == channel && $0.name == name }
  }

  /// An example of a message that the service receives from a queue.
  func example(of queue: String) -> JSONValue? {
    rows.first { $0.direction == .receive && $0.channel == queue }
      .map { ["TYPE": .string($0.name), "DATA": $0.data.example] }
  }

  /// The shape of `{"TYPE", "DATA"}` for the messages that the service receives from a queue.
  func body(of queue: String) -> Schema {
    let received = rows.filter { $0.direction == .receive && $0.channel == queue }
    return .object([
      .init("TYPE", .string(.init(values: received.map(\.name)))), .init("DATA", .object([]), isRequired: false),
    ])
  }
}
