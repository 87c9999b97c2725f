/// The writing side of a WebSocket: frames are queued, one task writes them, and a peer that does not read is cut off. Used on
/// one actor's executor.
final class WebSocketLink {
  private let environment: Environment
  private let connection: any Connection
  private let bound: Int
  private let patience: Duration
  private var queued: [UInt8] = []
  private var isWriting = false
  private(set) var isClosed = false

  /// A link that holds at most `bound` bytes that the peer has not taken.
  init(_ environment: Environment, _ connection: any Connection, bound: Int, patience: Duration) {
    self.environment = environment
    self.connection = connection
    self.bound = bound
    self.patience = patience
  }

  /// Queues a frame. When the peer is too slow, the link is closed in its place.
  func send(_ opcode: WebSocketOpcode, _ payload: some Collection<UInt8>) {
    guard !isClosed else { return }
    guard queued.count + payload.count <= bound else { return fail(WebSocketError(code: 1008, reason: "too slow")) }
    WebSocketFrame.write(opcode, payload, to: &queued)
  }

  /// Queues a frame that was made before.
  func send(frame: [UInt8]) {
    guard !isClosed else { return }
    guard queued.count + frame.count <= bound else { return fail(WebSocketError(code: 1008, reason: "too slow")) }
    queued += frame
  }

  /// What is to be written next, for the one task that writes; nil when there is nothing.
  func takeBatch() -> [UInt8]? {
    guard !queued.isEmpty else { return nil }
    let batch = queued
    queued = []
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

  func endWriting() { isWriting = false }

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
