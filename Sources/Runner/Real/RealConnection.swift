import Environment
import CLinux
import Glibc

/// One direction's suspended task. Its timer is lazy: it stays where it was armed, and when it fires too early it is
/// armed again; so a connection that is busy touches the timer heap once a time-out, and not once a request.
private final class Direction: Suspension, @unchecked Sendable {
  private var deadline: Int64 = .max
  private var armed: Int64 = .max

  /// Where to wait until `deadline`. One that has passed is noticed at the end of the turn.
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

/// A connected socket on its node's loop.
final class RealConnection: Connection, EventLoop.Source, @unchecked Sendable {
  let peer: SocketAddress
  private(set) var descriptor: Int32
  private let loop: EventLoop
  /// What the kernel last said; edges are told once.
  private var isReadable = true
  private var isWritable: Bool
  /// The peer has ended its side or the connection: a short read no longer means that nothing is left.
  private var hasHungUp = false
  private let reader: Direction
  private let writer: Direction

  /// Takes a socket over. One that is yet to be connected becomes writable when it is.
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

  // Into the witness that calls it: each function that waits is two switches more.
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
    // The event may have come before anybody waited for it.
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
