import System

/// A simulated PostgreSQL without network, disk and time: bytes in, bytes out, and whom a session
/// waits for. The comparison with the real one drives it.
package final class InProcessServer {
  private let engine: DatabaseEngine
  private var sessions: [Int: (session: ServerSession, parser: PostgresFrontendParser)] = [:]

  /// Makes a server with an empty database in memory.
  package init() throws { engine = try DatabaseEngine(try StatementDatabase(nil, path: "")) }

  /// Makes the choices that PostgreSQL leaves open: returns a number below its argument.
  package var choose: (Int) -> Int {
    get { engine.choose }
    set { engine.choose = newValue }
  }

  /// Opens a session that has logged in, and returns its number.
  package func open() throws -> Int {
    let id = engine.open()
    var parser = PostgresFrontendParser()
    // The parser waits for a start-up packet first.
    var start: [UInt8] = []
    PostgresFrontendMessage.startup(minor: 0, [PostgresParameter("user", "test")]).write(to: &start)
    parser.receive(start)
    _ = try parser.next()
    parser.loggedIn()
    sessions[id] = (ServerSession(id, key: [0, 0, 0, 0], engine: engine), parser)
    return id
  }

  /// Takes bytes of a client. Returns what each session answers, once every session has its answer
  /// or waits for another. A deadlock ends at once.
  package func receive(_ id: Int, _ bytes: [UInt8]) throws -> [Int: [UInt8]] {
    sessions[id]!.parser.receive(bytes)
    var messages: [PostgresFrontendMessage] = []
    while let message = try sessions[id]!.parser.next() { messages.append(message) }
    // A client that sends a Sync apart commits apart: other sessions may go on in between.
    try sessions[id]!.session.receive(messages)
    try settle()
    for (id, sender, channel, payload) in engine.delivered {
      sessions[id]!.session.notify(from: sender, channel, payload)
    }
    engine.delivered = []
    var output: [Int: [UInt8]] = [:]
    for id in sessions.keys.sorted() where !sessions[id]!.session.output.isEmpty {
      output[id] = sessions[id]!.session.output
      sessions[id]!.session.output = []
    }
    return output
  }

  private func settle() throws {
    while true {
      // A transaction of one statement commits before or after the next session goes on.
      var held: [(Int, StatementResult)] = []
      while let next = try engine.settle() {
        held.append(next)
        if engine.hasReady, engine.choose(2) == 1 { continue }
        for (id, result) in held { try sessions[id]!.session.resume(result) }
        held = []
      }
      for (id, result) in held { try sessions[id]!.session.resume(result) }
      if engine.hasReady { continue }
      let stuck = engine.waiting.filter { engine.isDeadlocked($0.session) }
      guard let last = stuck.map(\.currentWait).max() else { return }
      // The wait that closed the circle is examined after those that were there before.
      let victim = stuck.first { $0.currentWait == last }!.session
      if let result = try engine.interrupt(victim, ServerError("40P01", "deadlock detected")) {
        try sessions[victim]!.session.resume(result)
      }
    }
  }

  /// The sessions that a session waits for; empty if it does not wait.
  package func blockers(of id: Int) -> Set<Int> { Set(engine.blockers(of: id)) }

  /// Whether a session waits.
  package func isWaiting(_ id: Int) -> Bool { engine.isWaiting(id) }
}
