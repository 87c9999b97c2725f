import Environment

/// The writing side of a WebSocket: frames are queued, one task writes them, and a peer that does not read is cut off. Used on
/// one actor's executor.
final class WebSocketLink {
  private let environment: Environment
  private let connection: any Connection
  private let bound: Int
  private let patience: Duration
  private let memory: SessionMemory
  private var queued: [UInt8] = []
  /// Bytes that a task is writing.
  private var underWay = 0
  /// What the peer has not taken. Frames that the network takes in the turn in which they are queued are not charged.
  private var unread = Holding()
  /// The unfinished part of what the peer sends.
  private var unfinished = Holding()
  private var isWriting = false
  private var isStalled = false
  private(set) var isClosed = false

  /// A link that holds at most `bound` bytes that the peer has not taken.
  init(
    _ environment: Environment, _ connection: any Connection, _ memory: SessionMemory, bound: Int,
    patience: Duration
  ) {
    self.memory = memory
    self.environment = environment
    self.connection = connection
    self.bound = bound
    self.patience = patience
  }

  /// Queues a frame. When the peer is too slow, the link is closed in its place.
  func send(_ opcode: WebSocketOpcode, _ payload: some Collection<UInt8>) {
    guard !isClosed else { return }
    guard hasRoom(for: payload.count) else { return fail(WebSocketError(code: 1008, reason: "too slow")) }
    WebSocketFrame.write(opcode, payload, to: &queued)
  }

  /// Queues a frame that was made before.
  func send(frame: [UInt8]) {
    guard !isClosed else { return }
    guard hasRoom(for: frame.count) else { return fail(WebSocketError(code: 1008, reason: "too slow")) }
    queued += frame
  }

  private func hasRoom(for count: Int) -> Bool {
    guard queued.count + count <= bound else { return false }
    return !isStalled || unread.set(underWay + queued.count + count, of: memory)
  }

  /// Charges what the peer has sent of an unfinished message; false when it may not make the node hold as much.
  func hold(unfinished count: Int) -> Bool { unfinished.set(count, of: memory) }

  /// What is to be written next, for the one task that writes; nil when there is nothing.
  func takeBatch() -> [UInt8]? {
    underWay = 0
    guard !queued.isEmpty else { return nil }
    let batch = queued
    queued = []
    underWay = batch.count
    isStalled = true
    // What was queued before is written in any case; the next frame finds no room.
    _ = unread.set(underWay, of: memory)
    return batch
  }

  /// Writes what the network takes at once. False when something is left.
  func writeNow() throws -> Bool {
    let count = try connection.writeNow(queued[...])
    if count == queued.count { queued = [] } else { queued.removeFirst(count) }
    return queued.isEmpty
  }

  /// Whether somebody has to be told to write.
  func beginWriting() -> Bool {
    if isWriting || queued.isEmpty { return false }
    isWriting = true
    return true
  }

  func endWriting() {
    isWriting = false
    isStalled = false
    underWay = 0
    _ = unread.set(0, of: memory)
  }

  /// Says why and takes nothing more; what is queued is still written.
  func fail(_ error: WebSocketError) {
    guard !isClosed else { return }
    WebSocketFrame.write(.close, WebSocketFrame.closePayload(error.code, error.reason), to: &queued)
    isClosed = true
  }

  /// Writes a batch.
  func write(_ batch: [UInt8]) async throws {
    try await connection.write(batch, deadline: environment.clock.now + patience)
  }

  /// Whether everything that was queued is written, or never will be.
  var isDone: Bool { !isWriting && queued.isEmpty }

  func shutDown() { connection.shutdownWrite() }

  func reset() {
    queued = []
    connection.reset()
  }
}
