import Environment
import CLinux
import Glibc

/// The wait of one direction of a connection. Its timer is lazy: a new deadline does not move an
/// armed timer, and a timer that fires before the deadline is armed again. So a busy connection
/// uses the timer heap once a time-out, not once a request.
private final class Direction: Suspension, @unchecked Sendable {
  private var deadline: Int64 = .max
  private var armed: Int64 = .max

  /// Sets the deadline of the next wait. A deadline in the past takes effect at the end of the
  /// turn.
  func limited(to deadline: Instant?) -> Direction {
    self.deadline = deadline?.nanoseconds ?? .max
    if self.deadline < armed { arm(at: self.deadline) }
    return self
  }

  private func arm(at time: Int64) {
    armed = time
    loop.at(time) { [self] in
      guard armed == time else { return }
      armed = .max
      guard isPending else { return }
      if deadline <= EventLoop.nanoseconds {
        finish(.failure(NetworkError.timedOut))
      } else if deadline != .max {
        arm(at: deadline)
      }
    }
  }
}

/// A connected socket. Unchecked, since only its loop's thread uses it.
final class RealConnection: Connection, EventLoop.Source, @unchecked Sendable {
  let peer: SocketAddress
  private(set) var descriptor: Int32
  private let loop: EventLoop
  /// The readiness that the kernel last reported. Edge-triggered events are not repeated.
  private var isReadable = true
  private var isWritable: Bool
  /// Whether the peer has ended its direction or the connection. Then a short read does not mean
  /// that the socket is drained.
  private var hasHungUp = false
  private let reader: Direction
  private let writer: Direction

  /// Takes ownership of a socket. A socket that is still connecting becomes writable when it is
  /// connected.
  init(_ descriptor: Int32, peer: SocketAddress, loop: EventLoop, isConnected: Bool = true) {
    self.descriptor = descriptor
    self.peer = peer
    isWritable = isConnected
    self.loop = loop
    reader = Direction(on: loop)
    writer = Direction(on: loop)
    var one: Int32 = 1
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, 4)
    loop.add(descriptor, self)
  }

  deinit { if descriptor >= 0 { Glibc.close(descriptor) } }

  // MARK: Events

  func ready(_ events: UInt32) {
    if events & (EPOLLRDHUP.rawValue | EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0 { hasHungUp = true }
    if events & (EPOLLIN.rawValue | EPOLLRDHUP.rawValue | EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0 {
      isReadable = true
      reader.finish(.success(()))
    }
    if events & (EPOLLOUT.rawValue | EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0 {
      isWritable = true
      writer.finish(.success(()))
    }
  }

  // MARK: Connection

  var hasEnded: Bool { descriptor < 0 || hasHungUp }

  // Inlined into its protocol witness, since each further async function costs two switches.
  @inline(__always)
  func read(atMost limit: Int, deadline: Instant?) async throws -> [UInt8] {
    let wanted = min(limit, loop.scratch.count)
    while true {
      guard descriptor >= 0 else { throw NetworkError.closed }
      if isReadable {
        let count = recv(descriptor, loop.scratch.baseAddress, wanted, 0)
        if count >= 0 {
          if count < wanted, !hasHungUp { isReadable = false }
          return [UInt8](UnsafeRawBufferPointer(rebasing: loop.scratch[..<count]))
        }
        switch errno {
        case EAGAIN: isReadable = false
        case EINTR: continue
        case let code: throw Self.error(code)
        }
      }
      try await reader.limited(to: deadline).wait()
    }
  }

  func write(_ bytes: [UInt8], deadline: Instant?) async throws {
    var rest = bytes[...]
    while true {
      rest = rest.dropFirst(try writeNow(rest))
      if rest.isEmpty { return }
      try await writer.limited(to: deadline).wait()
    }
  }

  func writeNow(_ bytes: ArraySlice<UInt8>) throws -> Int {
    var done = 0
    while done < bytes.count {
      guard descriptor >= 0 else { throw NetworkError.closed }
      guard isWritable else { break }
      let count = bytes.withUnsafeBytes {
        send(descriptor, $0.baseAddress! + done, $0.count - done, Int32(MSG_NOSIGNAL))
      }
      if count >= 0 {
        done += count
        continue
      }
      switch errno {
      case EAGAIN: isWritable = false
      case EINTR: continue
      case let code: throw Self.error(code)
      }
    }
    return done
  }

  func waitForConnect(_ deadline: Instant) async throws {
    // The event may have arrived before this call.
    while !isWritable { try await writer.limited(to: deadline).wait() }
    var code: Int32 = 0
    var size = socklen_t(4)
    getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size)
    hasHungUp = false
    if code != 0 { throw Self.error(code) }
  }

  func shutdownWrite() { if descriptor >= 0 { shutdown(descriptor, Int32(SHUT_WR)) } }

  func close() {
    guard descriptor >= 0 else { return }
    loop.remove(descriptor)
    Glibc.close(descriptor)
    descriptor = -1
    reader.finish(.failure(NetworkError.closed))
    writer.finish(.failure(NetworkError.closed))
  }

  func reset() {
    guard descriptor >= 0 else { return }
    var linger = linger(l_onoff: 1, l_linger: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
    close()
  }

  static func error(_ code: Int32) -> NetworkError {
    switch code {
    case ECONNREFUSED: .refused
    case ECONNRESET, EPIPE, ECONNABORTED: .reset
    case ETIMEDOUT: .timedOut
    default: .unreachable(String(cString: strerror(code)))
    }
  }
}
