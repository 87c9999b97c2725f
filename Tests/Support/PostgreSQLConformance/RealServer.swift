import Glibc

/// A connection to a real PostgreSQL over a Unix socket, with the extended protocol in text.
final class RealConnection {
  struct Failure: Error { var reason: String }

  private let socket: Int32
  private var buffer: [UInt8] = []
  /// The messages of the statement under way.
  private var messages: [Wire.Message] = []
  private(set) var process: Int32 = 0
  private(set) var isBusy = false
  /// The notifications that have come.
  var heard: [Notification] = []

  init(path: String, user: String, database: String) throws {
    socket = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
    let status = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard status == 0 else { throw Failure(reason: "cannot connect to \(path)") }
    var body: [UInt8] = [0, 3, 0, 0]
    for text in ["user", user, "database", database] { body += Array(text.utf8) + [0] }
    body.append(0)
    send(Wire.length(body.count + 4) + body)
    isBusy = true
    while true {
      let message = try next(wait: 5000)!
      if message.type == UInt8(ascii: "K") { process = Int32(Wire.number(message.body[0..<4])) }
      if message.type == UInt8(ascii: "E") { throw Failure(reason: "\(Wire.fields(message.body))") }
      if message.type == UInt8(ascii: "Z") { break }
    }
    isBusy = false
  }

  deinit { close(socket) }

  private func send(_ bytes: [UInt8]) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { write(socket, $0.baseAddress, $0.count) }
      precondition(count > 0, "the server closed the connection")
      rest = rest.dropFirst(count)
    }
  }

  /// Returns the next message, or nil if none comes in `wait` milliseconds.
  private func next(wait: Int32) throws -> Wire.Message? {
    while true {
      if buffer.count >= 5 {
        let count = Wire.number(buffer[1..<5])
        if buffer.count > count {
          defer { buffer.removeFirst(count + 1) }
          return (buffer[0], Array(buffer[5..<(count + 1)]))
        }
      }
      var descriptor = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
      guard poll(&descriptor, 1, wait) > 0 else { return nil }
      var part = [UInt8](repeating: 0, count: 65536)
      let count = read(socket, &part, part.count)
      guard count > 0 else { throw Failure(reason: "the server closed the connection") }
      buffer += part[..<count]
    }
  }

  /// Sends a statement.
  func start(_ sql: String, _ parameters: [String?]) {
    isBusy = true
    messages = []
    send(Wire.statement(sql, parameters))
  }

  /// Returns the outcome of the statement, or nil if it is still running after `wait` milliseconds.
  func outcome(wait: Int32) throws -> Outcome? {
    while let message = try next(wait: wait) {
      if message.type == UInt8(ascii: "A") {
        heard.append(Wire.notification(message.body))
        continue
      }
      messages.append(message)
      guard message.type == UInt8(ascii: "Z") else { continue }
      isBusy = false
      return Outcome(messages)
    }
    return nil
  }

  func run(_ sql: String, _ parameters: [String?] = []) throws -> Outcome {
    start(sql, parameters)
    return try outcome(wait: 60000)!
  }

  /// Runs statements in one simple query.
  func runSimply(_ sql: String) throws -> Outcome {
    isBusy = true
    messages = []
    send(Wire.query(sql))
    return try outcome(wait: 60000)!
  }
}
