import Environment

/// The conditions on the network between nodes.
public struct LinkSetting: Sendable {
  /// Latency of a segment.
  public var latency: ClosedRange<Duration> = .microseconds(100)...(.milliseconds(1))
  /// Probability that a write is split at a random byte.
  public var splits = 0.1
  /// Probability that a segment is retransmitted.
  public var stalls = 0.0
  /// Delay of a retransmission.
  public var stall: ClosedRange<Duration> = .milliseconds(200)...(.seconds(3))
  /// Bytes in flight or unread in one direction. A writer waits when the window is full.
  public var window = 65_536

  /// Creates a fast network that loses nothing.
  public init() {}
}

/// A one-way partition: segments from nodes of `from` to nodes of `to` are held back.
struct Partition {
  let id: Int
  let from: Set<String>
  let to: Set<String>

  func blocks(_ a: String, _ b: String) -> Bool { from.contains(a) && to.contains(b) }
}

/// The network of a world: its listeners and connections, and the faults of their bytes.
///
/// TCP hides lost packets by retransmission, so a partition delays bytes and does not drop them.
/// They are held until the partition heals, while the timeouts of both ends run. A held connection
/// request ends as a connect that times out.
final class Fabric: @unchecked Sendable {
  let scheduler: Scheduler
  let trace: Trace
  let stream: ChoiceStream
  var link = LinkSetting()
  private(set) var partitions: [Partition] = []
  private var listeners: [SocketAddress: SimListener] = [:]
  private var nextPartition = 0
  private var nextPort: [String: UInt16] = [:]
  private var nextConnection = 0
  /// The connections that not both ends have closed, in order of creation. The network owns them,
  /// so it does not matter when their users free their ends.
  private(set) var open: [SimConnection] = []
  private var held: [(from: String, to: String, deliver: () -> Void)] = []
  /// Segments that were retransmitted: their ends, and the time of the delay.
  private(set) var stalls: [(from: String, to: String, time: ClosedRange<Int64>)] = []
  /// The machines without power. They do not answer.
  private var silent: Set<String> = []

  init(scheduler: Scheduler, trace: Trace, stream: ChoiceStream) {
    self.scheduler = scheduler
    self.trace = trace
    self.stream = stream
  }

  // MARK: Sending

  /// Returns the time at which a segment sent now by `a` arrives at `b`, at least `earliest`.
  func arrival(from a: String, to b: String, notBefore earliest: Int64 = 0) -> Int64 {
    var delay = a == b ? Duration.microseconds(20) : stream.duration(link.latency)
    if stream.chance(link.stalls) {
      delay += stream.duration(link.stall)
      stalls.append((a, b, scheduler.now...scheduler.now + delay.nanoseconds))
    }
    return max(earliest, scheduler.now + delay.nanoseconds)
  }

  /// Calls `deliver` when a segment from `a` arrives at `b`.
  private func send(from a: String, to b: String, _ deliver: @escaping () -> Void) {
    scheduler.at(arrival(from: a, to: b)) { self.arrive(from: a, to: b, deliver) }
  }

  /// Calls `deliver` now, or when the partition between the nodes heals.
  func arrive(from a: String, to b: String, _ deliver: @escaping () -> Void) {
    // Held segments keep their order.
    if isBlocked(a, b) { held.append((a, b, deliver)) } else { deliver() }
  }

  func isBlocked(_ a: String, _ b: String) -> Bool { partitions.contains { $0.blocks(a, b) } }

  // MARK: Partitions

  func partition(from: Set<String>, to: Set<String>) -> Int {
    nextPartition += 1
    partitions.append(Partition(id: nextPartition, from: from, to: to))
    return nextPartition
  }

  func heal(_ id: Int) {
    partitions.removeAll { $0.id == id }
    let waiting = held
    held = waiting.filter { isBlocked($0.from, $0.to) }
    for segment in waiting where !isBlocked(segment.from, segment.to) { segment.deliver() }
  }

  func healAll() { for partition in partitions { heal(partition.id) } }

  /// Resets every connection of a node. Returns the number of connections.
  func breakConnections(of name: String) -> Int {
    let broken = open.filter { $0.touches(name) }
    for connection in broken { connection.breakUp() }
    return broken.count
  }

  // MARK: Listening

  func listen(_ address: SocketAddress, backlog: Int, life: Life) throws(NetworkError) -> SimListener {
    var actual = SocketAddress(host: life.name, port: address.port)
    if actual.port == 0 {
      actual.port = nextPort[life.name, default: 49_152]
      nextPort[life.name] = actual.port + 1
    }
    if let other = listeners[actual], other.isOpen { throw .addressInUse(address) }
    let listener = SimListener(actual, backlog: backlog, life: life, fabric: self)
    listeners[actual] = listener
    return listener
  }

  func unlisten(_ listener: SimListener) {
    if listeners[listener.address] === listener { listeners[listener.address] = nil }
  }

  // MARK: Connecting

  /// Performs the three-way handshake. Calls `outcome` at the client with its end of the connection
  /// or an error, or never if the server does not answer.
  func connect(
    from life: Life, to address: SocketAddress, _ outcome: @escaping (Result<SimConnection, NetworkError>) -> Void
  ) {
    let local = SocketAddress(host: life.name, port: 0)
    let host = address.isLoopback ? life.name : address.host
    let target = SocketAddress(host: host, port: address.port)
    trace.event(.connect, life.name, value: UInt64(target.port), "to \(target)")
    send(from: life.name, to: host) {
      if self.silent.contains(host) { return }
      guard let listener = self.listeners[target], listener.isOpen else {
        self.send(from: host, to: life.name) {
          self.trace.event(.refused, life.name, "\(target)")
          outcome(.failure(.refused))
        }
        return
      }
      // A full backlog drops the request. The client times out.
      guard listener.hasRoom else { return }
      let (client, server) = self.pair(local, life, target, listener.life)
      listener.arrived(server)
      self.send(from: host, to: life.name) { outcome(.success(client)) }
    }
  }

  private func pair(_ a: SocketAddress, _ lifeA: Life, _ b: SocketAddress, _ lifeB: Life) -> (
    SimConnection, SimConnection
  ) {
    nextConnection += 1
    let forward = Pipe(nextConnection, from: lifeA, to: lifeB, fabric: self)
    let backward = Pipe(nextConnection, from: lifeB, to: lifeA, fabric: self)
    let client = SimConnection(
      id: nextConnection, life: lifeA, peer: b, incoming: backward, outgoing: forward, fabric: self)
    let server = SimConnection(
      id: nextConnection, life: lifeB, peer: a, incoming: forward, outgoing: backward, fabric: self)
    forward.opposite = backward
    backward.opposite = forward
    open.append(client)
    return (client, server)
  }

  /// Removes a connection whose ends are both closed.
  func forget(_ id: Int) {
    if let index = open.lastIndex(where: { $0.id == id }) { open.remove(at: index).end() }
  }

  /// Drops everything that retains the fabric, when the world has ended.
  func forgetAll() {
    for connection in open { connection.end() }
    open = []
    listeners = [:]
    held = []
  }

  // MARK: Death of a node

  /// Whether the machine has power, so that its kernel answers even if its process is dead.
  func isUp(_ name: String) -> Bool { !silent.contains(name) }

  func powered(_ name: String) { silent.remove(name) }

  /// Returns the virtual time at which the monotonic clock of the node shows `instant`.
  func virtual(_ instant: Instant, of life: Life) -> Int64 { life.clock.virtual(instant.nanoseconds) }

  /// Ends the connections of a dead node: with resets if its kernel lives, silently if the machine
  /// is down.
  func nodeDied(_ life: Life, silently: Bool) {
    if silently { silent.insert(life.name) }
    for address in listeners.keys.sorted(by: { ($0.host, $0.port) < ($1.host, $1.port) }) {
      if let listener = listeners[address], listener.life === life { listener.close() }
    }
    for connection in open { connection.ended(of: life, silently: silently) }
    for connection in open where connection.isDone { connection.end() }
    open.removeAll { $0.isDone }
  }
}
