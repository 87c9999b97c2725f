/// The output for one client. A part of it can wait for a commit: answers that say that something
/// is on the disk, and everything behind them.
struct BrokerOutput {
  /// Frames that the network has not been given.
  var bytes: [UInt8] = []
  /// The offset of the first byte that waits for the commit.
  private var held: Int?

  /// Whether a part waits for a commit.
  var isHolding: Bool { held != nil }
  /// Whether there are bytes to send now.
  var isSendable: Bool { held != 0 && !bytes.isEmpty }

  /// Lets everything that is written from here on wait for `release`.
  mutating func hold() { if held == nil { held = bytes.count } }

  /// Ends the wait. When the commit has failed, the bytes that waited for it are dropped.
  mutating func release(isStored: Bool) {
    if let held, !isStored { bytes.removeLast(bytes.count - held) }
    held = nil
  }

  /// Writes a heartbeat, in front of the bytes that wait.
  mutating func writeHeartbeat() {
    var frame: [UInt8] = []
    AMQPFrames.writeHeartbeat(to: &frame)
    bytes.insert(contentsOf: frame, at: held ?? bytes.count)
    if let held { self.held = held + frame.count }
  }

  /// Takes the bytes to send now.
  mutating func take() -> [UInt8] {
    guard let held else {
      defer { bytes = [] }
      return bytes
    }
    defer {
      bytes.removeFirst(held)
      self.held = 0
    }
    return Array(bytes[..<held])
  }
}
