import Environment

/// The outgoing half of a WebSocket. A peer that does not read is cut off. Used on one actor.
final class WebSocketLink {
  /// Maximum time for the peer to take what it is sent.
  private static let patience: Duration = .seconds(20)

  private let connection: any Connection
  /// Maximum number of bytes that wait for the peer.
  private let limit: Int
  private let memory: SessionMemory
  private var queued: [UInt8] = []
  /// Bytes that the peer has not taken. Frames that are written in the turn in which they were
  /// queued are not charged.
  private var unread = Holding()
  /// The incomplete part of a message from the peer.
  private var unfinished = Holding()
  private let outlet: Outlet
  private(set) var isClosed = false

  /// Makes a link that holds at most `limit` bytes that the peer has not taken.
  init(_ environment: Environment, _ connection: any Connection, _ memory: SessionMemory, limit: Int) {
    self.connection = connection
    self.memory = memory
    self.limit = limit
    outlet = Outlet("outlet", environment, connection, patience: Self.patience)
    outlet.draw { [weak self] in
      self?.takeQueued() ?? []
    } onEvent: { [weak self] in
      self?.outletDid($0)
    }
  }

  // MARK: Queueing

  /// Queues a frame. Closes the link instead if the peer is too slow.
  func send(_ opcode: WebSocketOpcode, _ payload: some Collection<UInt8>) {
    guard admits(payload.count) else { return }
    WebSocketFrame.write(opcode, payload, to: &queued)
  }

  /// Queues an encoded frame. Closes the link instead if the peer is too slow.
  func send(frame: [UInt8]) {
    guard admits(frame.count) else { return }
    queued += frame
  }

  private func admits(_ count: Int) -> Bool {
    guard !isClosed else { return false }
    let waiting = queued.count + count
    guard waiting <= limit, outlet.underWay == 0 || unread.set(outlet.underWay + waiting, of: memory.budget) else {
      fail(WebSocketError(code: 1008, reason: "too slow"))
      return false
    }
    return true
  }

  /// Charges the incomplete part of a message from the peer. Returns false if the node has no room.
  func hold(unfinished count: Int) -> Bool { unfinished.set(count, of: memory.budget) }

  /// Queues a close frame, and refuses further frames. Frames that were queued before are still
  /// written.
  func fail(_ error: WebSocketError) {
    guard !isClosed else { return }
    WebSocketFrame.write(.close, WebSocketFrame.closePayload(error.code, error.reason), to: &queued)
    isClosed = true
  }

  // MARK: Writing

  /// Claims the next write; the caller then calls `writeNow` or `writeAll`. Returns false if there
  /// is nothing to write, or if a write is in progress.
  func beginWriting() -> Bool { !queued.isEmpty && outlet.begin() }

  /// Writes what the network takes at once. A task writes the rest.
  func writeNow<Owner: Actor>(on owner: isolated Owner) { outlet.writeNow(on: owner) }

  /// Writes all frames, and waits until the network has taken them.
  func writeAll<Owner: Actor>(on owner: isolated Owner) async { await outlet.writeAll(on: owner) }

  /// Waits until all frames are written, then ends the stream in this direction.
  func shutDown<Owner: Actor>(before deadline: Instant, in environment: Environment, on owner: isolated Owner) async {
    await outlet.waitUntilIdle(before: deadline, in: environment)
    connection.shutdownWrite()
  }

  private func takeQueued() -> [UInt8] {
    _ = unread.set(0, of: memory.budget)
    defer { queued = [] }
    return queued
  }

  private func outletDid(_ event: Outlet.Event) {
    switch event {
    case .written: break
    case .stalled:
      // Frames that are queued already are written in any case. The next one finds no room.
      _ = unread.set(outlet.underWay, of: memory.budget)
    case .failed:
      queued = []
      _ = unread.set(0, of: memory.budget)
    }
  }
}
