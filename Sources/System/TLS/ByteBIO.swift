import COpenSSL
import Environment

/// The bytes between OpenSSL and the network: a BIO that reads from one buffer and appends to
/// another. It never waits. Used by one caller at a time.
final class ByteBIO {
  /// Bytes from the network that OpenSSL has not read.
  private var input: [UInt8] = []
  /// The number of bytes of `input` that OpenSSL has read.
  private var position = 0
  /// Whether the peer has ended the stream.
  private var hasEnded = false
  /// Bytes for the network.
  private var output: [UInt8] = []

  /// The number of bytes that OpenSSL has not read.
  var unread: Int { input.count - position }
  /// The number of bytes for the network.
  var unsent: Int { output.count }

  /// Adds bytes from the network.
  func receive(_ bytes: [UInt8]) {
    if position == input.count {
      input = bytes
    } else {
      input.removeFirst(position)
      input += bytes
    }
    position = 0
  }

  /// Notes the end of the stream.
  func receiveEnd() { hasEnded = true }

  /// Removes and returns the bytes for the network.
  func takeOutput() -> [UInt8] {
    defer { output = [] }
    return output
  }

  /// Makes the BIO that OpenSSL owns. This object has to outlive it.
  func makeBIO() -> OpaquePointer {
    guard let bio = BIO_new(Self.method.pointer) else { fatalError("OpenSSL has no memory for a BIO") }
    BIO_set_data(bio, Unmanaged.passUnretained(self).toOpaque())
    BIO_set_init(bio, 1)
    return bio
  }

  private func read(into buffer: UnsafeMutablePointer<CChar>, _ count: Int) -> Int {
    let taken = min(count, unread)
    input.withUnsafeBytes {
      UnsafeMutableRawPointer(buffer).copyMemory(from: $0.baseAddress! + position, byteCount: taken)
    }
    position += taken
    if position == input.count {
      input = []
      position = 0
    }
    return taken
  }

  /// The functions of the BIO. Unchecked, since nothing changes them.
  private struct Method: @unchecked Sendable {
    let pointer: OpaquePointer

    init() {
      guard let method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "buffers of the connection") else {
        fatalError("OpenSSL has no memory for the functions of a BIO")
      }
      pointer = method
      BIO_meth_set_read(method) { bio, buffer, count in
        guard let bio, let buffer, count > 0 else { return 0 }
        let bytes = ByteBIO.of(bio)
        parley_bio_clear_retry(bio)
        if bytes.unread > 0 { return Int32(bytes.read(into: buffer, Int(count))) }
        if bytes.hasEnded { return 0 }
        parley_bio_retry_read(bio)
        return -1
      }
      BIO_meth_set_write(method) { bio, buffer, count in
        guard let bio, let buffer, count > 0 else { return 0 }
        parley_bio_clear_retry(bio)
        let bytes = UnsafeRawBufferPointer(start: buffer, count: Int(count))
        ByteBIO.of(bio).output.append(contentsOf: bytes)
        return count
      }
      BIO_meth_set_ctrl(method) { bio, command, _, _ in
        switch command {
        case BIO_CTRL_FLUSH: 1
        case BIO_CTRL_EOF:
          bio.map { ByteBIO.of($0) }.map { $0.hasEnded && $0.unread == 0 } == true ? 1 : 0
        default: 0
        }
      }
    }
  }

  private static let method = Method()

  private static func of(_ bio: OpaquePointer) -> ByteBIO {
    Unmanaged<ByteBIO>.fromOpaque(BIO_get_data(bio)).takeUnretainedValue()
  }
}
