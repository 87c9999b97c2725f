import Environment

/// One thing that happened in a run.
public struct TraceEvent: Sendable {
  /// Virtual nanoseconds since the run began.
  public let at: Int64
  /// Where; empty for what concerns no node alone.
  public let node: String
  /// What kind of thing.
  public let kind: Trace.Kind
  /// What exactly, for people.
  public let detail: String
  /// For bytes on the network: which connection, between whom, and which bytes.
  public var transfer: Transfer?
  /// For a line of a log: the line.
  public var record: Log.Record?

  /// Bytes on the network.
  public struct Transfer: Sendable {
    /// The connection's number.
    public let connection: Int
    /// Who is at the other end.
    public let peer: String
    /// What was sent; empty when it arrives.
    public let bytes: [UInt8]
    /// Its place among all that one end of the connection sends: an arrival has the number of what arrives.
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

/// What happened, for people and for the hash. Every event is mixed into the run's hash; when a sink is there, it gets it.
public final class Trace: @unchecked Sendable {
  /// The kinds of events.
  public enum Kind: UInt8, CaseIterable, Sendable {
    case boot = 1
    case crash, pause, resume, drain, ended
    case connect, accepted, refused, send, reset, close
    case diskWrite, diskSync, diskFault
    case fault, log
    /// Bytes arrive, a fault ends, bytes come to a node that is dead: told to a sink only, since they follow from what was hashed.
    case arrive, mended, lost
  }

  /// From which level on logs are listened to: what is below a warning is for a sink only.
  var logLevel: Log.Level { sink == nil ? .warning : .debug }

  private let hash: RunHash
  private let sink: ((TraceEvent) -> Void)?
  /// The virtual time; set by the world.
  var clock: () -> Int64 = { 0 }

  init(hash: RunHash, sink: ((TraceEvent) -> Void)? = nil) {
    self.hash = hash
    self.sink = sink
  }

  /// Notes an event. `value` goes into the hash; `detail` is only evaluated when somebody records the trace.
  package func event(_ kind: Kind, _ node: String, value: UInt64 = 0, _ detail: @autoclosure () -> String = "") {
    mix(kind, value)
    sink?(TraceEvent(at: clock(), node: node, kind: kind, detail: detail()))
  }

  private func mix(_ kind: Kind, _ value: UInt64) {
    hash.mix(UInt64(kind.rawValue) << 56 ^ UInt64(bitPattern: clock()))
    hash.mix(value)
  }

  /// Notes what follows from events that were hashed.
  package func note(_ kind: Kind, _ node: String, _ detail: @autoclosure () -> String = "") {
    sink?(TraceEvent(at: clock(), node: node, kind: kind, detail: detail()))
  }

  /// Notes a line of a node's log; from a warning on it counts.
  func logged(_ record: Log.Record) {
    if record.level >= .warning { mix(.log, FNV.hash(record.event.utf8)) }
    guard let sink else { return }
    let detail = record.event + record.fields.map { " \($0.key)=\($0.value.text)" }.joined()
    var event = TraceEvent(at: clock(), node: record.node, kind: .log, detail: detail)
    event.record = record
    sink(event)
  }

  /// Notes that bytes are sent: all of them count.
  func sent(
    _ bytes: ArraySlice<UInt8>, from node: String, to peer: SocketAddress, _ connection: Int, number: Int
  ) {
    if hash.isOn { mix(.send, FNV.words(bytes)) }
    guard let sink else { return }
    var event = TraceEvent(
      at: clock(), node: node, kind: .send, detail: "#\(connection) \(bytes.count) bytes to \(peer)")
    event.transfer = .init(connection: connection, peer: peer.host, bytes: Array(bytes), number: number)
    sink(event)
  }

  /// Notes that the last byte of what was sent is there, or comes to a node that is dead.
  func ended(_ kind: Kind, at node: String, from peer: String, _ connection: Int, number: Int) {
    guard let sink else { return }
    var event = TraceEvent(at: clock(), node: node, kind: kind, detail: "#\(connection) from \(peer)")
    event.transfer = .init(connection: connection, peer: peer, bytes: [], number: number)
    sink(event)
  }
}
