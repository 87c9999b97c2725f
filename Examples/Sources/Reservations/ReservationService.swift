import Environment

/// A service that gives each seat to the first client that asks for it.
///
/// A client sends lines `RESERVE SEAT NAME` and reads lines `OK` or `TAKEN NAME`. A reservation is
/// in the file `reservations` before it is acknowledged, so it survives a crash.
public actor ReservationService: Service {
  private let environment: Environment
  private let mistakes: Set<Mistake>
  private let listener: any Listener
  private let file: any File
  private let executor: ActorExecutor
  private var size: Int64
  private var holders: [String: String]
  private var isWriting = false
  private var waiting: [CheckedContinuation<Void, Never>] = []

  /// The environment's executor, so that the simulator can interleave this actor with others.
  public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.unowned }

  /// The listening address.
  public nonisolated var addresses: [(name: String, address: SocketAddress)] {
    [("reservations", listener.address)]
  }

  /// Reads the reservations, listens on `address`, and serves.
  public static func start(
    _ environment: Environment, on address: SocketAddress, mistakes: Set<Mistake> = []
  ) async throws -> ReservationService {
    let (file, text) = try await environment.executor.offload(.disk) { try read(environment.storage) }
    let listener = try environment.network.listen(address, backlog: 128)
    let service = ReservationService(environment, listener, file, text, mistakes)
    environment.executor.spawn("accept") { await service.acceptAll() }
    return service
  }

  private init(
    _ environment: Environment, _ listener: any Listener, _ file: any File, _ text: String, _ mistakes: Set<Mistake>
  ) {
    self.environment = environment
    self.mistakes = mistakes
    self.listener = listener
    self.file = file
    executor = environment.executor.forActor("reservations")
    // A line that a crash has torn has no end. It was not acknowledged.
    let lines = text[..<(text.lastIndex(of: "\n") ?? text.startIndex)].split(separator: "\n")
    size = lines.reduce(0) { $0 + Int64($1.utf8.count) + 1 }
    holders = Dictionary(
      lines.map { $0.split(separator: " ") }.map { (String($0[0]), String($0[1])) },
      uniquingKeysWith: { first, _ in first })
  }

  private static func read(_ storage: any Storage) throws -> (any File, String) {
    let file = try storage.open("reservations", create: true)
    // Without this the new file itself may be lost.
    try storage.syncDirectory()
    var bytes = [UInt8](repeating: 0, count: Int(try file.size()))
    let count = try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
    return (file, String(decoding: bytes.prefix(count), as: UTF8.self))
  }

  /// Stops listening.
  public func drain() { listener.close() }

  private func acceptAll() async {
    while let connection = try? await listener.accept() {
      environment.executor.spawn("client") { await self.serve(connection) }
    }
  }

  private func serve(_ connection: any Connection) async {
    defer { connection.close() }
    var input: [UInt8] = []
    do {
      while input.count < 1024 {
        let bytes = try await connection.read(atMost: 1024, deadline: environment.clock.now + .seconds(60))
        if bytes.isEmpty { return }
        input += bytes
        while let end = input.firstIndex(of: UInt8(ascii: "\n")) {
          let answer = try await answer(String(decoding: input[..<end], as: UTF8.self))
          input.removeSubrange(...end)
          try await connection.write(Array("\(answer)\n".utf8), deadline: environment.clock.now + .seconds(5))
        }
      }
    } catch {
      environment.log.info("client-lost", ["error": .string("\(error)")])
    }
  }

  private func answer(_ line: String) async throws -> String {
    let words = line.split(separator: " ").map(String.init)
    guard words.count == 3, words[0] == "RESERVE" else { return "INVALID" }
    let holder = try await reserve(words[1], for: words[2])
    return holder == words[2] ? "OK" : "TAKEN \(holder)"
  }

  /// Reserves a seat. Returns the name of its holder.
  private func reserve(_ seat: String, for name: String) async throws -> String {
    if let holder = holders[seat] { return holder }
    await lock()
    defer { unlock() }
    // Another client may have taken the seat while this one waited for the lock.
    if let holder = holders[seat], !mistakes.contains(.checksOnce) { return holder }
    let (file, offset, line) = (file, size, Array("\(seat) \(name)\n".utf8))
    let isSynced = !mistakes.contains(.acknowledgesBeforeSync)
    try await environment.executor.offload(.disk) {
      try line.withUnsafeBytes { try file.write($0, at: offset) }
      if isSynced { try file.sync() }
    }
    size += Int64(line.count)
    holders[seat] = name
    return name
  }

  /// Waits until no other client writes to the file.
  private func lock() async {
    if isWriting { await withCheckedContinuation { waiting.append($0) } } else { isWriting = true }
  }

  private func unlock() {
    if waiting.isEmpty { isWriting = false } else { waiting.removeFirst().resume() }
  }
}
