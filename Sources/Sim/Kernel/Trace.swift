import Environment

/// An event of a run.
public struct TraceEvent: Sendable {
  /// Virtual nanoseconds since the run began.
  public let at: Int64
  /// The name of the node, or an empty string for an event of the whole world.
  public let node: String
  /// The kind of the event.
  public let kind: Trace.Kind
  /// A description for people.
  public let detail: String
  /// The number of jobs that had begun. An event that no job causes has the number of the last one.
  public package(set) var step = 0
  /// The bytes, for an event of the network.
  public var transfer: Transfer?
  /// The record, for a line of a log.
  public var record: Log.Record?

  /// Bytes on the network.
  public struct Transfer: Sendable {
    /// The connection's number.
    public let connection: Int
    /// The node at the other end.
    public let peer: String
    /// The bytes that were sent. Empty when they arrive.
    public let bytes: [UInt8]
    /// The number of the transfer among those of its sender on this connection. An arrival has the
    /// number of its transfer.
    public let number: Int

    package init(connection: Int, peer: String, bytes: [UInt8], number: Int) {
      self.connection = connection
      self.peer = peer
      self.bytes = bytes
      self.number = number
    }
  }

  package init(at: Int64, node: String, kind: Trace.Kind, detail: String) {
    self.at = at
    self.node = node
    self.kind = kind
    self.detail = detail
  }
}

/// Records the events of a run. Every event is mixed into the hash of the run, and passed to the
/// sink if there is one.
public final class Trace: @unchecked Sendable {
  /// The kinds of events.
  public enum Kind: UInt8, CaseIterable, Sendable {
    case boot = 1
    case crash, pause, resume, drain, ended
    case connect, accepted, refused, send, reset, close
    case diskWrite, diskSync, diskFault
    case fault, log
    /// Events that follow from hashed ones, and so are not hashed: bytes arrive, a fault ends,
    /// bytes reach a node that is dead.
    case arrive, mended, lost
  }

  /// The lowest level of log records that the trace receives. Records below a warning are for the
  /// sink only.
  var logLevel: Log.Level { sink == nil ? .warning : .debug }

  private let hash: RunHash
  private let sink: ((TraceEvent) -> Void)?
  /// Returns the virtual time. Set by the world.
  var clock: () -> Int64 = { 0 }
  /// Returns the number of jobs that have begun. Set by the world.
  var step: () -> Int = { 0 }

  init(hash: RunHash, sink: ((TraceEvent) -> Void)? = nil) {
    self.hash = hash
    self.sink = sink
  }

  /// Records an event. `value` is hashed; `detail` is evaluated only if there is a sink.
  package func event(_ kind: Kind, _ node: String, value: UInt64 = 0, _ detail: @autoclosure () -> String = "") {
    mix(kind, value)
    if let sink { sink(made(kind, node, detail())) }
  }

  private func mix(_ kind: Kind, _ value: UInt64) {
    hash.mix(UInt64(kind.rawValue) << 56 ^ UInt64(bitPattern: clock()))
    hash.mix(value)
  }

  /// Records an event that follows from hashed ones.
  package func note(_ kind: Kind, _ node: String, _ detail: @autoclosure () -> String = "") {
    if let sink { sink(made(kind, node, detail())) }
  }

  private func made(_ kind: Kind, _ node: String, _ detail: String) -> TraceEvent {
    var event = TraceEvent(at: clock(), node: node, kind: kind, detail: detail)
    event.step = step()
    return event
  }

  /// Records a log record. It is hashed from the level of a warning on.
  func logged(_ record: Log.Record) {
    if record.level >= .warning { mix(.log, FNV.hash(record.event.utf8)) }
    guard let sink else { return }
    let detail = record.event + record.fields.map { " \($0.key)=\($0.value.text)" }.joined()
    var event = made(.log, record.node, detail)
    event.record = record
    sink(event)
  }

  /// Records that bytes are sent. All of them are hashed.
  func sent(
    _ bytes: ArraySlice<UInt8>, from node: String, to peer: SocketAddress, _ connection: Int, number: Int
  ) {
    if hash.isOn { mix(.send, FNV.words(bytes)) }
    guard let sink else { return }
    var event = made(.send, node, "#\(connection) \(bytes.count) bytes to \(peer)")
    event.transfer = .init(connection: connection, peer: peer.host, bytes: Array(bytes), number: number)
    sink(event)
  }

  /// Records that the last byte of a transfer arrives, or is lost since the node is dead.
  func ended(_ kind: Kind, at node: String, from peer: String, _ connection: Int, number: Int) {
    guard let sink else { return }
    var event = made(kind, node, "#\(connection) from \(peer)")
    event.transfer = .init(connection: connection, peer: peer, bytes: [], number: number)
    sink(event)
  }
}
