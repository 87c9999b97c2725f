import Environment

/// One end of a simulated connection.
final class SimConnection: Connection, @unchecked Sendable {
  let id: Int
  let peer: SocketAddress
  private let life: Life
  let incoming: Pipe
  let outgoing: Pipe
  private let fabric: Fabric
  private var isClosed = false

  init(id: Int, life: Life, peer: SocketAddress, incoming: Pipe, outgoing: Pipe, fabric: Fabric) {
    self.id = id
    self.life = life
    self.peer = peer
    self.incoming = incoming
    self.outgoing = outgoing
    self.fabric = fabric
  }

  var hasEnded: Bool { isClosed || incoming.ending != .open }

  /// Whether both ends are closed.
  var isDone: Bool { (incoming.readerGone || !incoming.to.isAlive) && (outgoing.readerGone || !outgoing.to.isAlive) }

  func read(atMost limit: Int, deadline: Instant?) async throws -> [UInt8] {
    while true {
      guard life.isAlive else { throw NodeDown() }
      if isClosed { throw NetworkError.closed }
      if !incoming.arrived.isEmpty { return incoming.take(atMost: limit) }
      switch incoming.ending {
      case .ended: return []
      case .reset: throw NetworkError.reset
      case .open: break
      }
      try await wait(Wait("read", "from", peer, id), deadline) { incoming.reader = $0 }
    }
  }

  func write(_ bytes: [UInt8], deadline: Instant?) async throws {
    var rest = bytes[...]
    while true {
      rest = rest.dropFirst(try writeNow(rest))
      if rest.isEmpty { return }
      try await wait(Wait("write", "to", peer, id), deadline) { outgoing.writer = $0 }
    }
  }

  func writeNow(_ bytes: ArraySlice<UInt8>) throws -> Int {
    if bytes.isEmpty { return 0 }
    guard life.isAlive else { throw NodeDown() }
    if isClosed { throw NetworkError.closed }
    if incoming.ending == .reset { throw NetworkError.reset }
    if outgoing.endSent { throw NetworkError.closed }
    let part = bytes.prefix(max(0, outgoing.room))
    if part.isEmpty { return 0 }
    fabric.trace.sent(part, from: life.name, to: peer, id, number: outgoing.sent + 1)
    outgoing.send(part)
    return part.count
  }

  private func wait(_ what: Wait, _ deadline: Instant?, _ register: (Waiter) -> Void) async throws {
    let limit = deadline.map { fabric.virtual($0, of: life) }
    if let limit, limit <= fabric.scheduler.now { throw NetworkError.timedOut }
    try await life.wait(what, until: limit, register)
  }

  func shutdownWrite() {
    guard life.isAlive, !isClosed else { return }
    outgoing.sendEnd()
  }

  func close() {
    guard life.isAlive, !isClosed else { return }
    isClosed = true
    fabric.trace.event(.close, life.name, value: UInt64(id), "#\(id)")
    incoming.readerGone = true
    // The kernel answers with a reset if bytes are unread (RFC 2525 §2.17).
    if incoming.arrived.isEmpty { outgoing.sendEnd() } else { outgoing.sendReset() }
    giveUp()
  }

  func reset() {
    guard life.isAlive, !isClosed else { return }
    isClosed = true
    fabric.trace.event(.reset, life.name, value: UInt64(id), "#\(id)")
    incoming.readerGone = true
    outgoing.sendReset()
    giveUp()
  }

  /// Ends the connection: both ends have closed it or died. Segments under way arrive nowhere.
  func end() {
    incoming.opposite = nil
    outgoing.opposite = nil
  }

  private func giveUp() {
    incoming.reader?.resume()
    outgoing.writer?.resume()
    if isDone { fabric.forget(id) }
  }

  func touches(_ node: String) -> Bool { incoming.from.name == node || incoming.to.name == node }

  /// Resets both ends, as a middlebox would.
  func breakUp() {
    incoming.opposite?.sendReset()
    outgoing.opposite?.sendReset()
  }

  /// Handles the death of a node.
  func ended(of dead: Life, silently: Bool) {
    let pipe = outgoing.from === dead ? outgoing : incoming.from === dead ? incoming : nil
    guard let pipe, !silently else { return }
    pipe.sendReset()
  }
}
