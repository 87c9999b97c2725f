import Environment

/// What the layer keeps of its clients.
extension SocketIOLayer {
  struct Member {
    let socket: SocketID
    let rooms: [String]
    /// The position of the socket in its rooms.
    let number: Int64
    /// The offset after which it receives events, each with its offset; nil for a socket that hears
    /// no offsets.
    var hearsAfter: EventOffset?
  }

  /// A step that waits, and the size of its input in bytes.
  struct Waiting {
    let step: Step
    let size: Int
  }

  /// A binary packet with missing attachments.
  struct Partial {
    let header: SocketIOHeader
    var attachments: [[UInt8]] = []
    var missing: Int
    /// Whether a socket receives it. The attachments of other packets are counted and dropped.
    let isHeard: Bool
    var size: Int
  }

  /// Used on the engine's actor only.
  final class Client: @unchecked Sendable {
    let session: EngineIOSession
    let application: Application
    /// The connected sockets, by namespace.
    var sockets: [String: Member] = [:]
    /// The sockets that wait for admission, by namespace. A namespace is never in both tables.
    var connecting: [String: SocketID] = [:]
    var partial: Partial?
    /// Steps that wait for the running one.
    var steps = FIFO<Waiting>()
    var isWorking = false
    /// The size of the running step's input.
    var runningSize = 0
    /// Whether a socket hears offsets.
    var hearsOffsets = false
    /// Ends the session if no socket connects in time.
    var timeout: Task<Void, Never>?

    init(_ session: EngineIOSession, _ application: Application) {
      self.session = session
      self.application = application
    }

    func endTimeout() {
      timeout?.cancel()
      timeout = nil
    }
  }
}
