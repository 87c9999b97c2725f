import Environment
import System

/// A simulated PostgreSQL: a program of a node that speaks protocol 3.0 and runs SQL on its disk.
///
/// Commits are durable before they are answered. When the disk fails, the server ends all
/// connections and opens its database again from the disk, as PostgreSQL does after a panic.
public actor PostgreSQLServer: Service {
  /// The time in which a client has to log in.
  private static let loginPatience: Duration = .seconds(60)
  /// The time in which a client has to take what it is sent.
  private static let patience: Duration = .seconds(120)

  private final class Client {
    let connection: any Connection
    var output: [UInt8] = []
    var isWriting = false
    var ends = false
    init(_ connection: any Connection) { self.connection = connection }
  }

  private let environment: Environment
  private let options: PostgreSQLOptions
  private let verifier: SCRAMVerifier?
  private let listener: any Listener
  private let serialExecutor: ActorExecutor
  private var core: ServerCore?
  private var clients: [Int: Client] = [:]
  private var lastClient = 0
  private var inputs: [ServerCore.Input] = []
  private var isWorking = false
  private var isDraining = false
  private let finished = Gate()
  /// The executor that the environment gave to this actor.
  public nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }
  /// The address that it listens at.
  public nonisolated var addresses: [(name: String, address: SocketAddress)] { [("postgresql", listener.address)] }

  private init(
    _ environment: Environment, _ options: PostgreSQLOptions, _ listener: any Listener, _ core: ServerCore,
    _ verifier: SCRAMVerifier?
  ) {
    self.environment = environment
    self.options = options
    self.listener = listener
    self.core = core
    self.verifier = verifier
    serialExecutor = environment.executor.forActor("postgresql")
  }

  /// Opens the database and listens.
  /// - Throws: `DatabaseError`, `NetworkError`, `NodeDown`.
  public static func start(_ environment: Environment, _ options: PostgreSQLOptions) async throws -> PostgreSQLServer {
    let core = try await environment.executor.offload(.disk) { try ServerCore(environment, options) }
    let salt = environment.entropy.bytes(16)
    let verifier = try await environment.executor.offload(.compute) {
      options.password.map { SCRAMVerifier(password: $0, salt: salt, rounds: options.rounds) }
    }
    let listener = try environment.network.listen(options.address, backlog: 100)
    let server = PostgreSQLServer(environment, options, listener, core, verifier)
    environment.executor.spawn("postgresql-accept") { await server.acceptAll() }
    return server
  }

  /// Ends all sessions with 57P01, as a fast shutdown does, and closes the database.
  public func drain() async {
    isDraining = true
    listener.close()
    while isWorking { guard await finished.wait(in: environment) else { return } }
    let goodbye = ServerError("57P01", "terminating connection due to administrator command")
    for id in clients.keys.sorted() { end(id, goodbye) }
    core = nil
  }

  // MARK: Connections

  private func acceptAll() async {
    while !isDraining {
      do {
        let connection = try await listener.accept()
        lastClient += 1
        let id = lastClient
        clients[id] = Client(connection)
        environment.executor.spawn("postgresql-connection") { await self.serve(id) }
      } catch NetworkError.exhausted(let what) {
        environment.log.error("accept-failed", ["error": .string(what)])
        try? await environment.clock.sleep(for: .milliseconds(100))
      } catch {
        return
      }
    }
  }

  private var refusal: ServerError? {
    if isDraining { return ServerError("57P03", "the database system is shutting down") }
    if core == nil { return ServerError("57P03", "the database system is in recovery mode") }
    if options.faults.refusesConnections { options.faults.struck += 1 }
    if options.faults.refusesConnections || clients.count > options.maximumConnections {
      return ServerError("53300", "sorry, too many clients already")
    }
    return nil
  }

  private func serve(_ id: Int) async {
    guard let client = clients[id] else { return }
    var parser = PostgresFrontendParser()
    do {
      if try await logIn(id, client, &parser) { try await read(id, client, &parser) }
    } catch {
      // The client has left, or sent what is no message.
    }
    if !client.ends {
      clients[id] = nil
      if core != nil { take(.close(id)) }
      client.connection.close()
    }
  }

  private func logIn(_ id: Int, _ client: Client, _ parser: inout PostgresFrontendParser) async throws -> Bool {
    var login = ServerLogin(options, verifier, environment.entropy)
    let deadline = environment.clock.now + Self.loginPatience
    while true {
      while let message = try parser.next() {
        let step = try login.receive(message, refusal: refusal)
        if case .done(let settings) = step {
          parser.loggedIn()
          let key = environment.entropy.bytes(4)
          take(.open(id, key: key, settings: settings, greeting: login.output))
          return true
        }
        try await client.connection.write(login.output, deadline: deadline)
        login.output = []
        switch step {
        case .goOn: continue
        case .cancel(let process, let key):
          take(.cancel(process: process, key: key))
          return false
        case .end, .done: return false
        }
      }
      let bytes = try await client.connection.read(atMost: 4096, deadline: deadline)
      guard !bytes.isEmpty else { return false }
      parser.receive(bytes)
    }
  }

  private func read(_ id: Int, _ client: Client, _ parser: inout PostgresFrontendParser) async throws {
    while !client.ends {
      var messages: [PostgresFrontendMessage] = []
      while let message = try parser.next() { messages.append(message) }
      if !messages.isEmpty { take(.messages(id, messages)) }
      let bytes = try await client.connection.read(atMost: 65536, deadline: nil)
      guard !bytes.isEmpty else { return }
      parser.receive(bytes)
    }
  }

  private func end(_ id: Int, _ error: ServerError) {
    guard let client = clients[id] else { return }
    var bytes: [UInt8] = []
    PostgresBackendMessage.error(error.fields("FATAL")).write(to: &bytes)
    send(bytes, to: id, client, ends: true)
  }

  private func send(_ bytes: [UInt8], to id: Int, _ client: Client, ends: Bool) {
    client.output += bytes
    client.ends = client.ends || ends
    guard !client.isWriting else { return }
    // The reader notices that a client has left.
    let count = (try? client.connection.writeNow(client.output[...])) ?? client.output.count
    client.output.removeFirst(count)
    if client.output.isEmpty { return finishWriting(id, client) }
    client.isWriting = true
    environment.executor.spawn("postgresql-write") { await self.write(id, client) }
  }

  private func finishWriting(_ id: Int, _ client: Client) {
    guard client.ends else { return }
    clients[id] = nil
    client.connection.close()
  }

  private func write(_ id: Int, _ client: Client) async {
    do {
      while !client.output.isEmpty {
        let bytes = client.output
        client.output = []
        try await client.connection.write(bytes, deadline: environment.clock.now + Self.patience)
      }
      client.isWriting = false
    } catch {
      // The reader notices that the client has left.
      client.connection.reset()
    }
    finishWriting(id, client)
  }

  // MARK: Work

  private func take(_ input: ServerCore.Input) {
    inputs.append(input)
    guard !isWorking else { return }
    isWorking = true
    work()
  }

  private func work() {
    guard !inputs.isEmpty, let core else {
      inputs = []
      isWorking = false
      finished.open()
      return
    }
    let batch = inputs
    inputs = []
    let clock = environment.clock.wallTime.microseconds - TextForm.origin
    environment.executor.offload(.disk, for: self, { try core.process(batch, clock: clock) }) { $0.finish($1) }
  }

  private func finish(_ result: Result<ServerCore.Effects, any Error>) {
    switch result {
    case .success(let effects):
      for unknown in effects.unknown {
        environment.log.error("unknown-statement", ["error": .string(unknown)])
        options.unknown(unknown)
      }
      for timer in effects.timers {
        environment.executor.spawn("postgresql-timer") {
          guard (try? await self.environment.clock.sleep(for: timer.after)) != nil else { return }
          self.take(timer.input)
        }
      }
      guard effects.commits > 0, options.faults.commitDelay > .zero else { return answer(effects) }
      environment.executor.spawn("postgresql-commit") {
        guard (try? await self.environment.clock.sleep(for: self.options.faults.commitDelay)) != nil else { return }
        self.answer(effects)
      }
    case .failure(let error):
      if error is NodeDown { return }
      environment.executor.spawn("postgresql-recovery") { await self.recover(from: error) }
    }
  }

  private func answer(_ effects: ServerCore.Effects) {
    for (id, bytes, ends) in effects.output {
      if let client = clients[id] { send(bytes, to: id, client, ends: ends) }
    }
    work()
  }

  /// Handles a failure of the disk: what was not answered is unknown to the clients.
  private func recover(from error: any Error) async {
    environment.log.error("postgresql-panic", ["error": .string("\(error)")])
    core = nil
    inputs = []
    for id in clients.keys.sorted() {
      clients[id]?.connection.reset()
      clients[id] = nil
    }
    while core == nil, !isDraining {
      do {
        core = try await environment.executor.offload(.disk) { [environment, options] in
          try ServerCore(environment, options)
        }
      } catch is NodeDown {
        return
      } catch {
        guard (try? await environment.clock.sleep(for: .seconds(1))) != nil else { return }
      }
    }
    work()
  }
}
