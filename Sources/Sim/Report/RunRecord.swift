import Simulation
import System

/// The events of a run, decoded: bytes as the messages of their protocols, and log lines as changes
/// of state.
public final class RunRecord {
  /// A transfer of bytes from one node to another.
  struct Arrow {
    let sentAt: Int64
    /// The number of jobs that had begun when it was sent, and when it arrived.
    let sentStep: Int
    var arrivedStep: Int?
    /// Nil if the bytes did not arrive in this run.
    var arrivedAt: Int64?
    /// Whether the bytes never arrive, because the node was dead. Other transfers without an
    /// arrival are under way when the run ends.
    var isLost = false
    let from: String
    let to: String
    let connection: Int
    /// The messages that these bytes complete; empty for a part of a message.
    let messages: [TrafficDecoder.Message]
    let size: Int
  }

  /// An event at one node, or everywhere.
  struct Mark {
    let at: Int64
    let node: String
    let kind: Trace.Kind
    let text: String
    /// The number of jobs that had begun.
    let step: Int
  }

  /// A change of state.
  struct StateChange {
    let at: Int64
    /// "pool", "sessions", "conversations".
    let group: String
    let subject: String
    let value: String
  }

  /// The key of a transfer under way.
  private struct Key: Hashable {
    let connection: Int
    let from: String
    let number: Int
  }

  /// The most arrows. A longer run loses its beginning, since promises break at the end.
  private static let mostArrows = 20_000

  /// The most events that are kept undecoded. Most runs have fewer, and are decoded only if a
  /// report needs them.
  private static let mostUnread = 100_000

  /// The events since the last decoding.
  private var unread: [TraceEvent] = []
  private var pieces = Pieces()
  private var decoders: [Int: (client: String, decoder: TrafficDecoder)] = [:]
  private var underWay: [Key: Int] = [:]

  /// The decoded events.
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
  /// The nodes, in the order of their first events.
  var nodes: [String] { read.nodes }
  /// The number of arrows that were left out.
  var omitted: Int { read.omitted }

  /// The virtual time of the last event up to a step.
  func time(ofStep step: Int) -> Int64 { times.last { $0.step <= step }?.at ?? 0 }

  /// The virtual time of the last event up to a step.
  public func time(at step: Int) -> Duration { .nanoseconds(time(ofStep: step)) }

  /// The steps at which time went on.
  private var times: [(step: Int, at: Int64)] = []

  /// The number of jobs that had begun at the last event.
  public private(set) var lastStep = 0

  /// The time of the last event, in virtual nanoseconds.
  public private(set) var lastAt: Int64 = 0

  /// Makes an empty record.
  public init() {}

  /// Adds the next event.
  public func note(_ event: TraceEvent) {
    if event.at > lastAt || times.isEmpty { times.append((event.step, event.at)) }
    lastAt = event.at
    lastStep = event.step
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
      pieces.marks.append(Mark(at: event.at, node: event.node, kind: event.kind, text: event.detail, step: event.step))
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
        sentAt: event.at, sentStep: event.step, arrivedAt: nil, from: event.node, to: host,
        connection: transfer.connection,
        messages: messages, size: transfer.bytes.count))
    if pieces.arrows.count > 2 * Self.mostArrows {
      pieces.arrows.removeFirst(Self.mostArrows)
      pieces.omitted += Self.mostArrows
    }
  }

  /// The index of the arrow that ends now; nil if it was left out.
  private func place(_ event: TraceEvent) -> Int? {
    guard let transfer = event.transfer else { return nil }
    let key = Key(connection: transfer.connection, from: transfer.peer, number: transfer.number)
    guard let number = underWay.removeValue(forKey: key), number >= pieces.omitted else { return nil }
    return number - pieces.omitted
  }

  private func arrive(_ event: TraceEvent) {
    guard let place = place(event) else { return }
    pieces.arrows[place].arrivedAt = event.at
    pieces.arrows[place].arrivedStep = event.step
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
        pieces.marks.append(Mark(at: event.at, node: event.node, kind: .log, text: event.detail, step: event.step))
      }
    }
  }
}
