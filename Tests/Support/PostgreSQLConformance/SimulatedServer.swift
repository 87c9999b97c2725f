import Sim

/// The simulated server with its sessions, driven as the real one.
final class SimulatedServer {
  private let server: InProcessServer
  private let ids: [Int]

  init(schema: String, sessions: Int) throws {
    server = try InProcessServer()
    let setup = try server.open()
    let answer = try server.receive(setup, Wire.query(schema))[setup]!
    let outcome = Outcome(Wire.messages(answer))
    guard outcome.failure == nil else { fatalError("the schema failed: \(outcome)") }
    ids = try (0..<sessions).map { [server] _ in try server.open() }
  }

  /// Runs a statement. Returns the outcomes of all sessions that ended.
  func run(_ session: Int, _ sql: String, _ parameters: [String?], _ choose: (Int) -> Int) throws -> [Int: Outcome] {
    try withoutActuallyEscaping(choose) { choose in
      server.choose = choose
      defer { server.choose = { _ in 0 } }
      var outcomes: [Int: Outcome] = [:]
      for (id, bytes) in try server.receive(ids[session], Wire.statement(sql, parameters)) {
        let session = ids.firstIndex(of: id)!
        for message in Wire.messages(bytes) {
          guard message.type == UInt8(ascii: "A") else {
            held[id, default: []].append(message)
            continue
          }
          let notification = Wire.notification(message.body)
          heard[session, default: []].append(
            notification.described(by: ids.firstIndex(of: notification.sender)!))
        }
        guard held[id]?.last?.type == UInt8(ascii: "Z") else { continue }
        outcomes[session] = Outcome(held.removeValue(forKey: id)!)
      }
      return outcomes
    }
  }

  private var held: [Int: [Wire.Message]] = [:]
  /// The notifications that each session was sent.
  private(set) var heard: [Int: [String]] = [:]

  /// The sessions that a session waits for.
  func blockers(_ session: Int) -> Set<Int> { Set(server.blockers(of: ids[session]).map { ids.firstIndex(of: $0)! }) }
  func isWaiting(_ session: Int) -> Bool { server.isWaiting(ids[session]) }
}
