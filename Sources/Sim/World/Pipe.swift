import Environment

/// One direction of a connection: bytes in flight, bytes that arrived, and its end.
final class Pipe {
  enum Ending { case open, ended, reset }

  let from: Life
  let to: Life
  private unowned(unsafe) let fabric: Fabric
  /// The number of its connection.
  let connection: Int
  /// The other direction, until both ends have closed the connection or died.
  var opposite: Pipe?
  /// Bytes that arrived and were not read.
  private(set) var arrived: [UInt8] = []
  private(set) var ending = Ending.open
  /// The reader has closed the connection. Bytes that still arrive are answered with a reset.
  var readerGone = false
  /// The sender has ended the stream and may not write any more.
  private(set) var endSent = false
  private(set) var underWay = 0
  /// The number of transfers.
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

  /// Sends bytes in one or more segments.
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
    /// The last segment of a transfer has its number.
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

  /// Answers bytes without a reader: with a reset if the machine is up, and not at all if it is
  /// down.
  private func bounce() {
    guard to.isAlive || fabric.isUp(to.name) else { return }
    opposite?.sendReset()
  }

  private func end(_ how: Ending) {
    // A reset overrules an end in order: whoever has closed answers later bytes with a reset.
    guard ending == .open || ending == .ended && how == .reset else { return }
    ending = how
    reader?.resume()
    if how == .reset { opposite?.broken() }
  }

  /// Handles a reset by the peer. Later writes fail.
  private func broken() {
    endSent = true
    writer?.resume()
  }
}
