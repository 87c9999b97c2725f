import Environment
import CLinux
import Glibc

/// The machine's network.
final class RealNetwork: Network, Sendable {
  private let loop: EventLoop
  private let resolver: OffloadPool

  init(_ loop: EventLoop, resolver: OffloadPool) {
    self.loop = loop
    self.resolver = resolver
  }

  func listen(
    _ address: SocketAddress, backlog: Int, for application: ApplicationProtocol?
  ) throws(NetworkError) -> any Listener {
    var failure = NetworkError.unreachable("\(address.host) is not an address of this machine")
    for candidate in try InternetAddress.resolve(address, passive: true) {
      if let inherited = InheritedSockets.shared.take(candidate.socketAddress) {
        // It listens already. This sets the limit of connections that wait.
        guard Glibc.listen(inherited, Int32(backlog)) == 0 else {
          throw .unreachable("\(address): \(String(cString: strerror(errno)))")
        }
        return RealListener(inherited, host: address.host, loop: loop)
      }
      let descriptor = try candidate.makeSocket()
      var one: Int32 = 1
      setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, 4)
      if candidate.withPointer({ bind(descriptor, $0, $1) }) == 0, Glibc.listen(descriptor, Int32(backlog)) == 0 {
        return RealListener(descriptor, host: address.host, loop: loop)
      }
      switch errno {
      case EADDRINUSE: failure = .addressInUse(address)
      case EACCES, EPERM: failure = .permissionDenied(address)
      case let code: failure = .unreachable("\(address): \(String(cString: strerror(code)))")
      }
      Glibc.close(descriptor)
    }
    throw failure
  }

  func connect(to address: SocketAddress, deadline: Instant) async throws -> any Connection {
    let candidates = try await resolve(address)
    var failure: any Error = NetworkError.unreachable(address.host)
    for candidate in candidates {
      do {
        return try await connect(to: candidate, address, deadline)
      } catch {
        failure = error
      }
    }
    throw failure
  }

  /// Resolves a host. Names may need a blocking query, which runs in the pool; addresses do not.
  private func resolve(_ address: SocketAddress) async throws -> [InternetAddress] {
    if let numeric = try? InternetAddress.resolve(address, passive: false, numericOnly: true) { return numeric }
    return try await withUnsafeThrowingContinuation { continuation in
      var result: Result<[InternetAddress], any Error>?
      resolver.submit(for: loop) {
        result = Result { try InternetAddress.resolve(address, passive: false) }
      } then: {
        continuation.resume(with: result!)
      }
    }
  }

  private func connect(to candidate: InternetAddress, _ address: SocketAddress, _ deadline: Instant) async throws
    -> any Connection
  {
    let socket = RealConnection(try candidate.makeSocket(), peer: address, loop: loop, isConnected: false)
    do {
      let status = candidate.withPointer { Glibc.connect(socket.descriptor, $0, $1) }
      if status != 0 {
        guard errno == EINPROGRESS else { throw RealConnection.error(errno) }
      }
      try await socket.waitForConnect(deadline)
      return socket
    } catch {
      socket.reset()
      throw error
    }
  }
}

/// An address in the kernel's form, `sockaddr`.
struct InternetAddress: Sendable {
  private var storage = sockaddr_storage()
  private var length = socklen_t(MemoryLayout<sockaddr_storage>.size)

  private init() {}

  /// Copies an address of `length` bytes.
  init(_ address: UnsafePointer<sockaddr>, length: Int) {
    withUnsafeMutableBytes(of: &storage) {
      $0.copyMemory(from: UnsafeRawBufferPointer(start: address, count: length))
    }
    self.length = socklen_t(length)
  }

  /// Resolves a host, which may block unless `numericOnly`.
  /// - Throws: `NetworkError.unreachable`.
  static func resolve(
    _ address: SocketAddress, passive: Bool, numericOnly: Bool = false
  ) throws(NetworkError) -> [InternetAddress] {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    hints.ai_flags = (passive ? AI_PASSIVE : 0) | (numericOnly ? AI_NUMERICHOST : 0) | AI_NUMERICSERV
    var list: UnsafeMutablePointer<addrinfo>?
    let status = getaddrinfo(address.host, "\(address.port)", &hints, &list)
    guard status == 0 else { throw .unreachable("\(address.host): \(String(cString: gai_strerror(status)))") }
    defer { freeaddrinfo(list) }
    var result: [InternetAddress] = []
    var next = list
    while let entry = next {
      result.append(InternetAddress(entry.pointee.ai_addr, length: Int(entry.pointee.ai_addrlen)))
      next = entry.pointee.ai_next
    }
    return result
  }

  func makeSocket() throws(NetworkError) -> Int32 {
    let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    let descriptor = socket(Int32(storage.ss_family), type, 0)
    guard descriptor >= 0 else { throw .exhausted(String(cString: strerror(errno))) }
    return descriptor
  }

  func withPointer<R>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
    withUnsafePointer(to: storage) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) } }
  }

  /// Returns the status of a call such as `accept4` or `getsockname`, and the address that it
  /// wrote.
  static func filled(by body: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32) -> (
    Int32, InternetAddress
  ) {
    var address = InternetAddress()
    let status = withUnsafeMutablePointer(to: &address.storage) { storage in
      withUnsafeMutablePointer(to: &address.length) { length in
        storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
      }
    }
    return (status, address)
  }

  /// Whether it is an address of IPv4 or IPv6.
  var isInternet: Bool { storage.ss_family == sa_family_t(AF_INET) || storage.ss_family == sa_family_t(AF_INET6) }

  /// The numeric host and port. An IPv4-mapped IPv6 address is returned as an IPv4 address.
  var socketAddress: SocketAddress {
    if storage.ss_family == sa_family_t(AF_INET) {
      return withUnsafeBytes(of: storage) { bytes in
        let host = (4..<8).map { String(bytes[$0]) }.joined(separator: ".")
        return SocketAddress(host: host, port: UInt16(bytes[2]) << 8 | UInt16(bytes[3]))
      }
    }
    var host = [CChar](repeating: 0, count: 64)
    let port = withUnsafeBytes(of: storage) { UInt16($0[2]) << 8 | UInt16($0[3]) }
    _ = withPointer { getnameinfo($0, $1, &host, 64, nil, 0, NI_NUMERICHOST) }
    let text = String(decoding: host.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return SocketAddress(host: text.hasPrefix("::ffff:") ? String(text.dropFirst(7)) : text, port: port)
  }
}

/// A listening socket. Unchecked, since only its loop's thread uses it.
final class RealListener: Listener, EventLoop.Source, @unchecked Sendable {
  let address: SocketAddress
  private let loop: EventLoop
  private var descriptor: Int32
  private let acceptor: Suspension

  init(_ descriptor: Int32, host: String, loop: EventLoop) {
    self.descriptor = descriptor
    self.loop = loop
    acceptor = Suspension(on: loop)
    let (_, bound) = InternetAddress.filled { getsockname(descriptor, $0, $1) }
    address = SocketAddress(host: host, port: bound.socketAddress.port)
    loop.add(descriptor, self)
  }

  func ready(_ events: UInt32) {
    acceptor.finish(.success(()))
  }

  func accept() async throws -> any Connection {
    while true {
      guard descriptor >= 0 else { throw NetworkError.closed }
      let (accepted, peer) = InternetAddress.filled {
        accept4(descriptor, $0, $1, Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue))
      }
      if accepted >= 0 { return RealConnection(accepted, peer: peer.socketAddress, loop: loop) }
      switch errno {
      case EAGAIN: try await acceptor.wait()
      case EINTR, ECONNABORTED, EPROTO: continue
      case let code: throw NetworkError.exhausted(String(cString: strerror(code)))
      }
    }
  }

  func close() {
    guard descriptor >= 0 else { return }
    loop.remove(descriptor)
    Glibc.close(descriptor)
    descriptor = -1
    ready(0)
  }
}
