import Environment
import Simulation
import System

/// One of a person's devices: a socket that is opened again whenever it ends, and that writes down all it hears.
final class ChatDevice: @unchecked Sendable {
  private let environment: Environment
  private let history: ChatHistory
  private let tally: Tally
  private let stream: ChoiceStream
  private let person: String
  private let behavior: People
  private let commons: Commons
  /// Whether it is to have a socket.
  var wants = true
  /// The session to use; nil while there is none.
  var session: String?
  var user: Int64 = 0
  private var client: SocketIOClient?
  private var isPolling = false
  private(set) var record: Int?
  private let calls = PendingCalls()
  /// The client that is being given up: a socket that it still opens is not one that stays.
  private var leaving: SocketIOClient?
  private var isRunning = false
  private var isHurried = false

  init(
    _ environment: Environment, _ person: String, _ behavior: People, history: ChatHistory, tally: Tally,
    stream: ChoiceStream, commons: Commons
  ) {
    self.environment = environment
    self.person = person
    self.behavior = behavior
    self.history = history
    self.tally = tally
    self.stream = stream
    self.commons = commons
  }

  var isConnected: Bool { record != nil }

  /// Begins to keep a socket open, while it is wanted.
  func start() {
    guard !isRunning else { return }
    isRunning = true
    environment.executor.spawn("device") { await self.run() }
  }

  private func run() async {
    while isRunning {
      do {
        if wants, let session { try await connect(session) }
        // With and without waiting.
        let isQuick = stream.chance(0.3) || isHurried
        isHurried = false
        let pause: Duration = isQuick ? .milliseconds(1) : stream.exponential(mean: .milliseconds(800))
        try await environment.clock.sleep(for: pause)
      } catch {
        return
      }
    }
  }

  private func connect(_ session: String) async throws {
    // The person may have another account before the socket is open.
    let user = user
    let transport = stream.pick(behavior.transports)
    let client = SocketIOClient(environment, address: Scenario.chatAddress, transport: transport)
    self.client = client
    isPolling = transport != .webSocket
    let begunAt = history.time
    do {
      let auth: JSONValue = ["sessionID": .string(session)]
      try await client.connect(auth: auth)
      if let rudeness = Rudeness.drawn(from: [.connectTwice, .speakEarly, .connectAndLeave], behavior, stream) {
        tally.count(.rudeSteps)
        try await rudeness.act(client, "/", auth)
        if rudeness == .connectAndLeave {
          await hangUp(silently: false)
          throw NetworkError.closed
        }
      }
      while true { if await !take(try await client.receive(), session, user, transport, begunAt) { break } }
    } catch is NodeDown {
      throw NodeDown()
    } catch {
      // The socket has ended: another one follows.
    }
    ended()
    await client.abandon()
    self.client = nil
  }

  private func ended() {
    if let record { history.sockets[record].ended = history.next() }
    record = nil
    calls.endAll()
  }

  /// Notes what came; false when the socket is over.
  private func take(
    _ event: SocketIOClient.Event, _ session: String, _ user: Int64, _ transport: EngineIOClient.Transport,
    _ begunAt: Int64
  ) async -> Bool {
    switch event {
    case .connected where leaving != nil && leaving === client: break
    case .connected:
      tally.count(.sockets)
      if transport == .upgrading { tally.count(.upgrades) }
      history.sockets.append(
        SocketRecord(
          person: person, user: user, session: session, begunAt: begunAt, connected: history.next(),
          connectedAt: history.time))
      record = history.sockets.count - 1
      if let rudeness = Rudeness.drawn(from: Rudeness.whileConnected, behavior, stream) {
        await beRude(rudeness, session)
      }
    case .refused(_, Rudeness.refusal): break
    case .refused(_, let message):
      tally.count(.socketsRefused)
      if message == "no such session", self.session == session { self.session = nil }
      return false
    case .disconnected:
      tally.count(.socketsClosed)
      return false
    case .acknowledged(_, let id, let payload):
      calls.answer(id, payload.arguments.first ?? .null)
    case .event(_, let name, let payload): note(name, payload.arguments.first ?? .null)
    }
    return true
  }

  /// Does a step out of turn on a socket that is connected.
  private func beRude(_ rudeness: Rudeness, _ session: String) async {
    guard let client else { return }
    tally.count(.rudeSteps)
    do {
      switch rudeness {
      case .upgradeTwice: await Rudeness.upgrade(await client.sessionID, environment)
      case .pollTwice:
        // The second request ends the session, or gets what the first one waits for.
        ended()
        await Rudeness.poll(await client.sessionID, environment)
        await hangUp(silently: true)
      default: try await rudeness.act(client, "/", ["sessionID": .string(session)])
      }
    } catch {
      // The socket has ended: another one follows.
    }
  }

  private func note(_ name: String, _ data: JSONValue) {
    guard let record else { return }
    switch name {
    case "new_message":
      tally.count(.messagesHeard)
      if let fact = MessageFact(data) { history.sockets[record].heard.append((history.next(), history.time, fact)) }
    case "user_status":
      tally.count(.presenceHeard)
      history.sockets[record].presence.append(
        (history.next(), data["user_id"]?.int ?? 0, data["status"] == "online"))
    case "typing": tally.count(.typingHeard)
    default: break
    }
  }

  /// Emits an event and waits for its acknowledgement; nil when none came.
  func call(_ name: String, _ data: JSONValue, patience: Duration) async throws -> JSONValue? {
    guard let client, record != nil else { return nil }
    let id: Int64
    do {
      guard let number = try await client.emit(name, SocketPayload([data]), acknowledged: true) else { return nil }
      id = number
    } catch is NodeDown {
      throw NodeDown()
    } catch {
      return nil
    }
    guard record != nil, self.client === client else { return nil }
    return await calls.wait(for: id, patience: patience, environment)
  }

  /// Emits an event that nobody acknowledges.
  func tell(_ name: String, _ data: JSONValue) async throws {
    guard let client, record != nil else { return }
    do { try await client.emit(name, SocketPayload([data])) } catch is NodeDown { throw NodeDown() } catch { return }
  }

  /// Ends the socket, in order or without a word; another one follows while it is wanted.
  func hangUp(silently: Bool) async {
    guard let client else { return }
    leaving = client
    // Who has no socket yet cannot say that there is to be none; the end of a connection is seen in any case.
    if record == nil || silently && isPolling { commons.notice(within: behavior.missing, from: history.time) }
    if !silently, let rudeness = Rudeness.drawn(from: [.leaveTwice], behavior, stream) {
      tally.count(.rudeSteps)
      ended()
      try? await rudeness.act(client, "/", .null)
    }
    if silently { await client.abandon() } else { await client.close() }
  }

  /// Gives the socket up, and opens another without waiting.
  func connectAgainAtOnce() async {
    isHurried = true
    await hangUp(silently: true)
  }

  /// Ends for good.
  func stop() async {
    isRunning = false
    wants = false
    await hangUp(silently: false)
  }
}

extension MessageFact {
  init?(_ data: JSONValue) {
    guard let sequence = data["seq"]?.int, let id = data["message_id"]?.int, let sender = data["sender_id"]?.int,
      let recipient = data["recipient_id"]?.int, let content = data["content"]?.string,
      let isGroup = data["is_group"]?.bool
    else { return nil }
    self.init(
      conversation: isGroup ? .group(recipient) : .between(sender, recipient), sequence: sequence, id: id,
      sender: sender, content: content)
  }
}
