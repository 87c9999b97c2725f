import Environment

/// One direction of a connection: bytes under way, bytes that arrived, and how it ended.
final class Pipe {
  enum Ending { case open, ended, reset }

  let from: Life
  let to: Life
  private unowned(unsafe) let fabric: Fabric
  /// The number of the connection that it is a half of.
  let connection: Int
  weak var opposite: Pipe?
  /// What arrived and was not read.
  private(set) var arrived: [UInt8] = []
  private(set) var ending = Ending.open
  /// The reader has given up: what still arrives is answered with a reset.
  var readerGone = false
  /// The sender has ended the stream, so nothing more may be written.
  private(set) var endSent = false
  private var underWay = 0
  /// How often something was sent.
  private(set) var sent = 0
  private var lastArrival: Int64 = 0
  var reader: Waiter?
  var writer: Waiter?

  init(_ connection: Int, from: Life, to: Life, fabric: Fabric) {
    self.connection = connection
    self.from = from
    self.to = to
    self.fabric = fabric
  }

  var room: Int { fabric.link.window - underWay - arrived.count }

  func take(atMost limit: Int) -> [UInt8] {
    let wasFull = room <= 0
    defer { if wasFull { writer?.resume() } }
    if arrived.count <= limit {
      let all = arrived
      arrived = []
      return all
    }
    let some = Array(arrived[..<limit])
    arrived.removeFirst(limit)
    return some
  }

  /// Puts bytes on the wire, whole or cut at any byte.
  func send(_ bytes: ArraySlice<UInt8>) {
    var rest = bytes
    sent += 1
    while !rest.isEmpty {
      let cut =
        rest.count > 1 && fabric.stream.chance(fabric.link.splits)
        ? 1 + fabric.stream.choose(rest.count - 1) : rest.count
      let segment = rest.prefix(cut)
      rest = rest.dropFirst(cut)
      underWay += segment.count
      travel(.bytes(segment, completes: rest.isEmpty ? sent : nil))
    }
  }

  func sendEnd() {
    guard !endSent else { return }
    endSent = true
    travel(.ending(.ended))
  }

  func sendReset() {
    endSent = true
    travel(.ending(.reset))
  }

  private enum Segment {
    /// The last of what was sent together has the number of it.
    case bytes(ArraySlice<UInt8>, completes: Int?)
    case ending(Ending)
  }

  private func travel(_ segment: Segment) {
    lastArrival = fabric.arrival(from: from.name, to: to.name, notBefore: lastArrival)
    fabric.scheduler.fire(Arrival(segment, self), at: lastArrival)
  }

  /// A segment on its way.
  private final class Arrival: SimTimer {
    private let segment: Segment
    private let pipe: Pipe

    init(_ segment: Segment, _ pipe: Pipe) {
      self.segment = segment
      self.pipe = pipe
    }

    override func fire() {
      pipe.fabric.arrive(from: pipe.from.name, to: pipe.to.name) { self.pipe.arrive(self.segment) }
    }
  }

  private func arrive(_ segment: Segment) {
    switch segment {
    case .bytes(let bytes, let number):
      deliver(bytes)
      guard let number else { return }
      fabric.trace.ended(to.isAlive ? .arrive : .lost, at: to.name, from: from.name, connection, number: number)
    case .ending(let how): end(how)
    }
  }

  private func deliver(_ segment: ArraySlice<UInt8>) {
    underWay -= segment.count
    guard ending == .open else { return }
    guard to.isAlive else { return bounce() }
    guard !readerGone else { return bounce() }
    arrived += segment
    reader?.resume()
  }

  /// Nobody takes the bytes. A machine that is up says so with a reset; one that is down is silent.
  private func bounce() {
    guard to.isAlive || fabric.isUp(to.name) else { return }
    opposite?.sendReset()
  }

  private func end(_ how: Ending) {
    guard ending == .open else { return }
    ending = how
    reader?.resume()
    if how == .reset { opposite?.broken() }
  }

  /// The peer has reset the connection: what this side still writes goes nowhere.
  private func broken() {
    endSent = true
    writer?.resume()
  }
}

/// One end of a simulated connection.
final class SimConnection: Connection, @unchecked Sendable {
  let id: Int
  let peer: SocketAddress
  private let life: Life
  private let incoming: Pipe
  private let outgoing: Pipe
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

  /// Whether both ends are given up.
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
    // Unread bytes make the kernel answer with a reset (RFC 2525 §2.17).
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

  private func giveUp() {
    incoming.reader?.resume()
    outgoing.writer?.resume()
    if isDone { fabric.forget(id) }
  }

  func touches(_ node: String) -> Bool { incoming.from.name == node || incoming.to.name == node }

  /// Something on the way gives the connection up: both ends see a reset.
  func breakUp() {
    incoming.opposite?.sendReset()
    outgoing.opposite?.sendReset()
  }

  /// One of the two nodes died.
  func ended(of dead: Life, silently: Bool) {
    let pipe = outgoing.from === dead ? outgoing : incoming.from === dead ? incoming : nil
    guard let pipe, !silently else { return }
    pipe.sendReset()
  }
}

/// A simulated listening socket.
final class SimListener: Listener, @unchecked Sendable {
  let address: SocketAddress
  let life: Life
  private let backlog: Int
  private let fabric: Fabric
  private var waiting: [SimConnection] = []
  private var acceptor: Waiter?
  private(set) var isOpen = true

  init(_ address: SocketAddress, backlog: Int, life: Life, fabric: Fabric) {
    self.address = address
    self.backlog = backlog
    self.life = life
    self.fabric = fabric
  }

  var hasRoom: Bool { waiting.count < backlog }

  func arrived(_ connection: SimConnection) {
    waiting.append(connection)
    acceptor?.resume()
  }

  func accept() async throws -> any Connection {
    while true {
      guard life.isAlive else { throw NodeDown() }
      guard isOpen else { throw NetworkError.closed }
      if !waiting.isEmpty {
        fabric.trace.event(.accepted, life.name, value: UInt64(waiting[0].id), "#\(waiting[0].id)")
        return waiting.removeFirst()
      }
      try await life.wait(Wait("accept", "on", address)) { acceptor = $0 }
    }
  }

  func close() {
    guard isOpen else { return }
    isOpen = false
    fabric.unlisten(self)
    for connection in waiting { connection.reset() }
    waiting = []
    acceptor?.resume()
  }
}

/// A node's network interface.
final class SimNetwork: Network, @unchecked Sendable {
  private let life: Life
  private let fabric: Fabric

  init(life: Life, fabric: Fabric) {
    self.life = life
    self.fabric = fabric
  }

  func listen(_ address: SocketAddress, backlog: Int) throws(NetworkError) -> any Listener {
    guard life.isAlive else { throw .unreachable("the node is down") }
    return try fabric.listen(address, backlog: backlog, life: life)
  }

  func connect(to address: SocketAddress, deadline: Instant) async throws -> any Connection {
    let answer = Answer()
    let limit = fabric.virtual(deadline, of: life)
    guard limit > fabric.scheduler.now else { throw NetworkError.timedOut }
    do {
      try await life.wait(Wait("connect", "to", address), until: limit) { waiter in
        fabric.connect(from: life, to: address) { result in
          if waiter.isPending {
            answer.result = result
            waiter.resume()
          } else if case .success(let connection) = result {
            connection.reset()
          }
        }
      }
    } catch {
      if case .success(let connection)? = answer.result { connection.reset() }
      throw error
    }
    guard let result = answer.result else { throw NetworkError.timedOut }
    return try result.get()
  }

  private final class Answer: @unchecked Sendable {
    var result: Result<SimConnection, NetworkError>?
  }
}
