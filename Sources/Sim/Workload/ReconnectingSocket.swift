import Environment
import Simulation
import System

/// The owner of a socket: it knows what the events mean.
protocol SocketOwner: AnyObject {
  /// The user id that the next connection is for.
  var userID: Int64 { get }
  /// The namespace is connected. The owner keeps a record of it, ignores it or ends it.
  func socketConnected(_ attempt: ReconnectingSocket.Attempt) async -> ReconnectingSocket.Admission
  func socketReceived(_ event: String, _ data: JSONValue, record: Int?)
  /// The server refused the connection with a message, or closed it (nil).
  func socketRefused(_ message: String?, _ attempt: ReconnectingSocket.Attempt)
  func socketEnded(record: Int)
  /// An event arrived with an offset, or without one.
  func socketReceived(_ event: String, offset: String?, record: Int)
}

extension SocketOwner {
  func socketReceived(_ event: String, offset: String?, record: Int) {}
}

/// A socket of a simulated user, which connects again whenever it ends.
///
/// Some users take rude steps on their sockets: see `RudeStep`.
final class ReconnectingSocket {
  /// One connection, from its beginning.
  struct Attempt {
    let session: String
    let user: Int64
    let transport: EngineIOClient.Transport
    /// Virtual time in nanoseconds.
    let begunAt: Int64
  }

  /// What the owner does with a connected socket.
  enum Admission {
    /// It stays; the owner keeps its record under this index.
    case stays(record: Int)
    /// It goes on without a record: the user has hung up, and the end is under way.
    case ignored
    /// It is ended at once.
    case ends
  }

  /// What differs between the sockets of the services.
  struct Settings {
    let namespace: String
    /// Mean time between the end of a connection and the next one.
    let pause: Duration
    /// Rude steps before the connection is answered, while it is open, and before it is closed.
    let opening: [RudeStep]
    let connected: [RudeStep]
    let closing: [RudeStep]
  }

  /// The session to connect with; nil while there is none.
  var session: String?
  /// Whether the socket asks for its recovery. Then it keeps the `pid` of its last connection and
  /// the offset of the last event, as the client of Socket.IO does.
  var recovers = false
  private var recovery: (id: String?, offset: String?) = (nil, nil)
  /// Whether the current connection goes on where the one before it ended.
  private(set) var isRecovered = false
  /// Whether the socket is to connect.
  var isWanted = true
  /// Whether the next connection follows without a pause.
  private var isHurried = false
  /// The index of the owner's record; nil unless the socket is connected.
  private(set) var record: Int?
  /// The node of the current connection.
  private var address = Scenario.chatAddress
  /// The client of the current connection; nil between two connections.
  private var client: SocketIOClient?
  /// The client that is being closed. It may still become connected.
  private var closing: SocketIOClient?
  /// The index of the current connection in the log of calls.
  private var logged = 0
  private var isPolling = false
  private var isRunning = false
  /// The transport of all connections; nil if each has one of its own.
  private var ownTransport: EngineIOClient.Transport?

  private unowned let owner: any SocketOwner
  private let settings: Settings
  private let user: UserState
  private let history: Timeline
  private let rendezvous: Rendezvous
  private let environment: Environment
  /// The acknowledgements of the current connection.
  private var acknowledgements = PendingAcknowledgements()

  init(
    of owner: any SocketOwner, _ user: UserState, _ settings: Settings, history: Timeline, rendezvous: Rendezvous,
    _ environment: Environment
  ) {
    self.owner = owner
    self.user = user
    self.settings = settings
    self.history = history
    self.rendezvous = rendezvous
    self.environment = environment
  }

  var isConnected: Bool { record != nil }
  /// Whether the current client is the one that is being closed.
  var isClosing: Bool { closing != nil && closing === client }

  // MARK: Connecting

  /// Keeps the socket connected while it is wanted, until `stop`.
  func start() {
    guard !isRunning else { return }
    isRunning = true
    // In turns each device keeps its transport: it decides what the service sees of an end.
    if user.turns != nil { ownTransport = user.stream.pick(user.behavior.transports) }
    let socket = Confined(self)
    environment.executor.spawn("socket") { await socket.value.run() }
  }

  private func run() async {
    while isRunning {
      do {
        if isWanted, let session { try await connect(session) }
        // With and without a pause.
        let isQuick = user.circumstances.chance(0.3) || isHurried
        isHurried = false
        let pause: Duration = isQuick ? .milliseconds(1) : user.circumstances.exponential(mean: settings.pause)
        try await environment.clock.sleep(for: pause)
      } catch {
        return
      }
    }
  }

  private func connect(_ session: String) async throws {
    let id = owner.userID
    let transport = ownTransport ?? user.circumstances.pick(user.behavior.transports)
    // A connection stays at its node: a load balancer sends all its requests there.
    address = user.chatAddress
    let client = SocketIOClient(environment, address: address, transport: transport)
    self.client = client
    acknowledgements = PendingAcknowledgements()
    isPolling = transport != .webSocket
    logged = user.log.open(user.name, namespace: settings.namespace, session: session)
    let attempt = Attempt(session: session, user: id, transport: transport, begunAt: history.time)
    do {
      try await client.connect(namespace: settings.namespace, auth: authentication(session))
      if let step = rudeStep(from: settings.opening) {
        try await step.take(client, settings.namespace, authentication(session))
        if step == .connectAndLeave {
          await hangUp(silently: false)
          throw NetworkError.closed
        }
      }
      while try await handle(try await client.receive(), attempt) {}
    } catch is NodeDown {
      throw NodeDown()
    } catch {
      // The connection has ended; another one follows.
    }
    markEnded()
    await client.abandon()
    self.client = nil
  }

  private func authentication(_ session: String) -> JSONValue {
    var members = [JSONValue.Member("sessionID", .string(session))]
    if recovers { members.append(.init("recover", true)) }
    if let id = recovery.id {
      members.append(.init("pid", .string(id)))
      if let offset = recovery.offset { members.append(.init("offset", .string(offset))) }
    }
    return .object(members)
  }

  /// Handles an event; false ends the connection.
  private func handle(_ event: SocketIOClient.Event, _ attempt: Attempt) async throws -> Bool {
    switch event {
    case .connected(_, _, let id):
      user.log.connected(logged)
      isRecovered = id != nil && id == recovery.id
      switch await owner.socketConnected(attempt) {
      case .ignored: break
      case .ends: return false
      case .stays(let record):
        self.record = record
        recovery.id = id
        if let step = rudeStep(from: settings.connected) { await take(step, attempt.session) }
      }
    case .refused(_, RudeStep.refusal): break
    case .refused(_, let message):
      user.log.refused(logged, message)
      owner.socketRefused(message, attempt)
      return false
    case .disconnected:
      owner.socketRefused(nil, attempt)
      return false
    case .acknowledged(_, let id, let payload): acknowledgements.answer(id, payload.arguments.first ?? .null)
    case .event(_, let name, let payload):
      user.log.received(logged, name, payload.arguments.first ?? .null)
      owner.socketReceived(name, payload.arguments.first ?? .null, record: record)
      let offset = payload.arguments.count > 1 ? payload.arguments.last?.string : nil
      if let record { owner.socketReceived(name, offset: offset, record: record) }
      if record != nil, let offset { recovery.offset = offset }
    }
    return true
  }

  private func rudeStep(from steps: [RudeStep]) -> RudeStep? {
    let step = RudeStep.drawn(from: steps, by: user)
    guard let step else { return nil }
    user.tally.count(.rudeSteps)
    for (name, data) in step.events(settings.namespace) { _ = user.log.begin(logged, name, data) }
    return step
  }

  /// Takes a rude step on a connected socket.
  private func take(_ step: RudeStep, _ session: String) async {
    guard let client else { return }
    do {
      switch step {
      case .upgradeTwice: await RudeStep.upgrade(await client.sessionID, at: address, environment)
      case .pollTwice:
        // The second request ends the connection, or gets what the first one waits for.
        markEnded()
        await RudeStep.poll(await client.sessionID, at: address, environment)
        await hangUp(silently: true)
      default: try await step.take(client, settings.namespace, authentication(session))
      }
    } catch {
      // The connection has ended; another one follows.
    }
  }

  // MARK: Sending

  /// Emits an event and waits for its acknowledgement; nil if none comes.
  /// - Throws: `NodeDown`.
  func call(_ name: String, _ data: JSONValue, patience: Duration) async throws -> JSONValue? {
    guard let client, isConnected else { return nil }
    let call = user.log.begin(logged, name, data)
    let expected = PendingAcknowledgements.Expected()
    let isSent = try await emit(name, data, client, acknowledgement: expected)
    let answer = isSent ? await expected.wait(patience: patience, environment) : expected.arrived
    if let answer { user.log.end(call, acknowledgement: answer) }
    return answer
  }

  /// Emits an event without an acknowledgement.
  /// - Throws: `NodeDown`.
  func tell(_ name: String, _ data: JSONValue) async throws {
    guard let client, isConnected else { return }
    _ = user.log.begin(logged, name, data)
    _ = try await emit(name, data, client, acknowledgement: nil)
  }

  /// Emits an event, and expects its acknowledgement if there is one to expect. False if the
  /// connection ended before.
  private func emit(
    _ name: String, _ data: JSONValue, _ client: SocketIOClient, acknowledgement: PendingAcknowledgements.Expected?
  ) async throws -> Bool {
    let (pending, expected) = (Confined(acknowledgements), Confined(acknowledgement))
    do {
      try await client.emit(
        name, SocketPayload([data]), namespace: settings.namespace, acknowledged: acknowledgement != nil
      ) { id in if let expected = expected.value { pending.value.expect(expected, of: id) } }
      return true
    } catch is NodeDown {
      throw NodeDown()
    } catch {
      return false
    }
  }

  // MARK: Ending

  /// Closes the connection in order, or abandons it silently. Another one follows while it is
  /// wanted. Between two connections this does nothing.
  func hangUp(silently: Bool) async {
    guard let client else { return }
    closing = client
    // Before the namespace is connected there is nothing to disconnect. The server sees the end of
    // a WebSocket at once, and misses a polling client only by its heartbeats.
    if !isConnected || silently && isPolling {
      rendezvous.notice(within: user.behavior.missing, from: history.time)
    }
    if !silently, let step = rudeStep(from: settings.closing) {
      markEnded()
      try? await step.take(client, settings.namespace, .null)
    }
    if silently { await client.abandon() } else { await client.close() }
  }

  /// Abandons the connection and opens another one without a pause.
  func reconnectAtOnce() async {
    isHurried = true
    await hangUp(silently: true)
  }

  /// Closes the connection for good.
  func stop() async {
    isRunning = false
    isWanted = false
    await hangUp(silently: false)
  }

  private func markEnded() {
    if let record { owner.socketEnded(record: record) }
    record = nil
    user.log.ended(logged)
    acknowledgements.endAll()
  }
}
