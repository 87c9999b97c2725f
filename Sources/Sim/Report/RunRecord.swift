import Simulation
import System

/// Everything that happened in a run, read: bytes as the messages of their protocols, logs as changes of what they are about.
public final class RunRecord {
  /// Bytes on their way from a node to another.
  struct Arrow {
    let sentAt: Int64
    /// nil when they did not arrive in this run.
    var arrivedAt: Int64?
    /// Whether they never arrive: the node was dead when they came. All others are under way when the run ends.
    var isLost = false
    let from: String
    let to: String
    let connection: Int
    /// What became whole with these bytes; empty for a part of a message.
    let messages: [TrafficDecoder.Message]
    let size: Int
  }

  /// Something at one node, or everywhere.
  struct Mark {
    let at: Int64
    let node: String
    let kind: Trace.Kind
    let text: String
  }

  /// From then on, something of a group is so.
  struct StateChange {
    let at: Int64
    /// "pool", "sessions", "conversations".
    let group: String
    let subject: String
    let value: String
  }

  /// What a slot in the table of arrows under way is found by.
  private struct Key: Hashable {
    let connection: Int
    let from: String
    let number: Int
  }

  /// A run of more is cut at its beginning: the end is where promises break.
  private static let mostArrows = 20_000

  /// Events that are kept as they came before they are read: most runs end with fewer, and cost no more than that.
  private static let mostUnread = 100_000

  /// What happened since it was last read.
  private var unread: [TraceEvent] = []
  private var pieces = Pieces()
  private var decoders: [Int: (client: String, decoder: TrafficDecoder)] = [:]
  private var underWay: [Key: Int] = [:]

  /// What the events say, once they are read.
  private struct Pieces {
    var arrows: [Arrow] = []
    var marks: [Mark] = []
    var states: [StateChange] = []
    var nodes: [String] = []
    var omitted = 0
  }

  private var read: Pieces {
    readAll()
    return pieces
  }

  var arrows: [Arrow] { read.arrows }
  var marks: [Mark] { read.marks }
  var states: [StateChange] { read.states }
  /// The nodes, in the order in which they first did something.
  var nodes: [String] { read.nodes }
  /// Arrows that were left out because there were too many.
  var omitted: Int { read.omitted }

  /// When the last thing happened.
  public private(set) var lastAt: Int64 = 0

  /// Nothing has happened.
  public init() {}

  /// Takes the next event.
  public func note(_ event: TraceEvent) {
    lastAt = event.at
    unread.append(event)
    if unread.count == Self.mostUnread { readAll() }
  }

  private func readAll() {
    for event in unread { take(event) }
    unread.removeAll(keepingCapacity: true)
  }

  private func take(_ event: TraceEvent) {
    if !event.node.isEmpty, !pieces.nodes.contains(event.node) { pieces.nodes.append(event.node) }
    switch event.kind {
    case .send: send(event)
    case .arrive: arrive(event)
    case .lost: if let place = place(event) { pieces.arrows[place].isLost = true }
    case .log: log(event)
    case .connect, .accepted, .diskWrite, .close: break
    case .boot, .crash, .pause, .resume, .drain, .ended, .refused, .reset, .diskSync, .diskFault, .fault, .mended:
      pieces.marks.append(Mark(at: event.at, node: event.node, kind: event.kind, text: event.detail))
    }
  }

  private func send(_ event: TraceEvent) {
    guard let transfer = event.transfer else { return }
    var entry = decoders[transfer.connection] ?? (client: event.node, decoder: TrafficDecoder())
    let messages = entry.decoder.receive(transfer.bytes, fromClient: event.node == entry.client)
    decoders[transfer.connection] = entry
    let host = transfer.peer == "127.0.0.1" ? event.node : transfer.peer
    underWay[Key(connection: transfer.connection, from: event.node, number: transfer.number)] =
      pieces.omitted + pieces.arrows.count
    pieces.arrows.append(
      Arrow(
        sentAt: event.at, arrivedAt: nil, from: event.node, to: host, connection: transfer.connection,
        messages: messages, size: transfer.bytes.count))
    if pieces.arrows.count > 2 * Self.mostArrows {
      pieces.arrows.removeFirst(Self.mostArrows)
      pieces.omitted += Self.mostArrows
    }
  }

  /// The arrow that ends now; nil when it was left out.
  private func place(_ event: TraceEvent) -> Int? {
    guard let transfer = event.transfer else { return nil }
    let key = Key(connection: transfer.connection, from: transfer.peer, number: transfer.number)
    guard let number = underWay.removeValue(forKey: key), number >= pieces.omitted else { return nil }
    return number - pieces.omitted
  }

  private func arrive(_ event: TraceEvent) {
    guard let place = place(event) else { return }
    pieces.arrows[place].arrivedAt = event.at
    for message in pieces.arrows[place].messages where message.name == "new_message" {
      guard let payload = message.payload else { continue }
      let sender = payload["sender_id"]?.int ?? 0
      let recipient = payload["recipient_id"]?.int ?? 0
      let isGroup = payload["is_group"] == true
      let subject = isGroup ? "group \(recipient)" : "users \(min(sender, recipient)) and \(max(sender, recipient))"
      let text = "seq \(payload["seq"]?.int ?? 0): \(payload["content"]?.string ?? "")"
      pieces.states.append(
        StateChange(
          at: event.at, group: "conversations", subject: "\(subject), as \(event.node) hears it", value: text))
    }
  }

  private func log(_ event: TraceEvent) {
    guard let record = event.record else { return }
    func field(_ key: String) -> String { record.fields.first { $0.key == key }?.value.text ?? "" }
    switch record.event {
    case "user-moved":
      pieces.states.append(
        StateChange(
          at: event.at, group: "pool", subject: "user \(field("user"))",
          value: "\(field("to")), connection \(field("connection"))"))
    case "session-changed":
      pieces.states.append(
        StateChange(
          at: event.at, group: "sessions", subject: field("session"),
          value: "\(field("status")), epoch \(field("epoch")), host \(field("host"))"))
    default:
      if record.level >= .info, record.event != "request" {
        pieces.marks.append(Mark(at: event.at, node: event.node, kind: .log, text: event.detail))
      }
    }
  }
}
