import Environment

/// The embedded message broker: AMQP 0-9-1 over the environment's network, durable by group commit
/// (contract section 5).
///
/// All state is on this actor. A publication enters its queues and may be delivered at once. It is
/// confirmed after the commit that holds it. Deliveries that were not acknowledged return to their
/// places when their channel ends.
public actor Broker: Service {
  /// The database in the data directory.
  public static let database = ServiceDatabase(
    "broker.db", BrokerSchema.migrations, invariants: BrokerInvariants.all)

  /// Time for the handshake.
  private static let handshakePatience: Duration = .seconds(10)
  /// Time for a client to answer a close, and for the broker to stop.
  private static let closePatience: Duration = .seconds(2)

  private let environment: Environment
  private let options: BrokerOptions
  let database: Database
  private let listener: any Listener
  private let serialExecutor: ActorExecutor
  private let tasks = BrokerTasks()
  let journal: BrokerJournal
  let topology: BrokerTopology
  let ledger: MessageLedger
  private let dispatcher: QueueDispatcher
  private let removals: Removals
  private let commands: BrokerCommands
  private let handshake: BrokerHandshake
  private let throttle: PublisherThrottle
  private let idle: IdleQueues
  private(set) var connections: [Int: BrokerConnection] = [:]
  private var lastConnection = 0
  private var isDraining = false
  private let connectionEnded = Gate()

  /// The executor that the environment gave to this actor.
  public nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }
  /// The address that it listens on.
  public nonisolated let addresses: [(name: String, address: SocketAddress)]

  /// Starts a broker with the state in its database.
  /// - Throws: `DatabaseError`, `NetworkError`: an operator has to act.
  public static func start(_ environment: Environment, _ options: BrokerOptions) async throws -> Broker {
    let database = Database(
      environment, path: Self.database.path, migrations: Self.database.migrations, options: options.database,
      observer: options.observer)
    let state = try await database.transaction { try await BrokerTables($0).recover() }
    let listener = try environment.network.listen(options.address, backlog: 1024, for: .amqp)
    let broker = Broker(environment, options, database, listener, nextMessage: (state.messages.last?.id ?? 0) + 1)
    await broker.restore(state)
    environment.executor.spawn("broker-accept") { await broker.acceptAll() }
    return broker
  }

  private init(
    _ environment: Environment, _ options: BrokerOptions, _ database: Database, _ listener: any Listener,
    nextMessage: Int64
  ) {
    self.environment = environment
    self.options = options
    self.database = database
    self.listener = listener
    addresses = [("amqp", listener.address)]
    serialExecutor = environment.executor.forActor("broker")
    journal = BrokerJournal(environment, database, tasks)
    topology = BrokerTopology(journal)
    ledger = MessageLedger(journal, options, nextID: nextMessage)
    let replies = DirectReplies(environment)
    dispatcher = QueueDispatcher(environment, journal, topology, ledger, tasks, replies)
    let settlements = Settlements(ledger, dispatcher, options.planted)
    idle = IdleQueues(environment, tasks)
    removals = Removals(journal, topology, ledger, dispatcher, settlements, replies, idle, options.planted)
    let topologyCommands = TopologyCommands(
      environment: environment, topology: topology, ledger: ledger, removals: removals, replies: replies, idle: idle,
      planted: options.planted)
    commands = BrokerCommands(
      topology: topologyCommands,
      publications: Publications(
        journal: journal, topology: topology, dispatcher: dispatcher, replies: replies,
        maximumMessage: options.maximumMessage, planted: options.planted),
      consumptions: Consumptions(
        environment: environment, journal: journal, dispatcher: dispatcher, topology: topologyCommands,
        replies: replies, idle: idle),
      dispatcher: dispatcher, settlements: settlements, removals: removals)
    throttle = PublisherThrottle(environment, journal, ledger)
    handshake = BrokerHandshake(
      serviceToken: options.serviceToken, operatorToken: options.operatorToken, heartbeat: options.heartbeat)
  }

  private func restore(_ state: BrokerRecovery) {
    // These closures hold the broker. `acceptAll` and `drain` end them.
    tasks.begin { work in self.start(work) }
    journal.committed = { changes, confirmations in self.finishCommit(changes, confirmations) }
    topology.restore(state)
    // A stored time may be any number. Within the bound it can be added and subtracted.
    let latest = environment.clock.wallTime.microseconds / 1000 + Int64(UInt32.max)
    for stored in state.messages {
      guard let queue = topology.queue(stored.queue) else { continue }
      // Deliveries are not stored, so every message may have been delivered before.
      queue.append(
        QueueEntry(
          id: stored.id, message: nil, expires: min(max(0, stored.expires), latest), isRedelivered: true,
          isDurable: true, bodyBytes: stored.bodyBytes, priority: queue.contents.priority(of: stored.priority)))
    }
    if state.setAside > 0 {
      environment.log.error("broker-rows-set-aside", ["count": .int(Int64(state.setAside))])
    }
    for queue in topology.allQueues {
      idle.noteUse(of: queue)
      dispatcher.dispatch(queue)
    }
  }

  /// Stops: closes every connection, waits for the disk, closes the database.
  public func drain() async {
    isDraining = true
    listener.close()
    for id in connections.keys.sorted() {
      guard let client = connections[id] else { continue }
      client.send(
        .connectionClose(code: 320, text: "CONNECTION_FORCED - the broker is stopping", classID: 0, methodID: 0), on: 0)
      client.phase = .closing
      client.flush()
    }
    let deadline = environment.clock.now + Self.closePatience
    while !connections.isEmpty, await connectionEnded.wait(until: deadline, in: environment) {}
    await journal.waitUntilIdle(before: deadline, on: self)
    for id in connections.keys.sorted() { connections[id]?.connection.reset() }
    release()
    await database.close()
  }

  /// Stops the parts, and ends the cycle of references between them and the broker. Nothing is
  /// written any more, so a reader that waits for room in its output would wait for ever.
  private func release() {
    for id in connections.keys.sorted() { connections[id]?.leave() }
    journal.close()
    tasks.end()
    journal.committed = { _, _ in }
  }

  // MARK: Tasks of the parts

  private func start(_ work: BrokerWork) -> Task<Void, Never>? {
    let executor = environment.executor
    switch work {
    case .commit: return executor.spawn("broker-store") { await self.journal.commitAll() }
    case .commitRemovals(let delay):
      return executor.spawn("broker-removals") {
        try? await self.environment.clock.sleep(for: delay)
        self.journal.commitRemovals()
      }
    case .dispatch(let delay):
      return executor.spawn("broker-errands") {
        do { try await self.environment.clock.sleep(for: delay) } catch { return }
        self.dispatcher.goOn()
      }
    case .load(let queue, let ids):
      return executor.spawn("broker-load") { await self.dispatcher.load(queue, ids) }
    case .expire(let queue, let delay):
      return executor.spawn("broker-expiry") {
        do { try await self.environment.clock.sleep(for: delay) } catch { return }
        self.dispatcher.expire(queue)
      }
    case .endIdle(let queue, let delay):
      return executor.spawn("broker-idle") {
        do { try await self.environment.clock.sleep(for: delay) } catch { return }
        self.endIdle(queue)
      }
    case .write(let connection):
      executor.post(to: self) { $0.connections[connection]?.outlet.writeNow(on: $0) }
      return nil
    }
  }

  private func endIdle(_ id: BrokerQueue.ID) {
    guard let queue = topology.queue(id), idle.isOver(queue) else { return }
    removals.delete(queue, owner: queue.owner.flatMap { connections[$0] })
  }

  private func finishCommit(_ changes: [BrokerChange], _ confirmations: [BrokerJournal.Confirmation]) {
    ledger.pageOut(changes, from: topology)
    for (channel, tag) in confirmations { channel.confirms.confirm(tag) }
    // A channel that has ended gets no confirms, also when another has its number now.
    for (channel, _) in confirmations where !channel.isClosing {
      channel.sendConfirms()
      channel.connection.flush()
    }
  }

  // MARK: Connections

  private func acceptAll() async {
    while !isDraining {
      do {
        let connection = try await listener.accept()
        guard connections.count < options.maximumConnections,
          environment.memory.strangers.charge(BrokerConnection.strangerBytes)
        else {
          connection.reset()
          continue
        }
        lastConnection += 1
        let client = BrokerConnection(
          lastConnection, connection, tasks, maximumMessage: options.maximumMessage, in: environment
        ) { [dispatcher] in
          dispatcher.goOn($0)
        }
        connections[client.id] = client
        environment.executor.spawn("broker-connection") { [id = client.id] in await self.serve(id) }
      } catch NetworkError.exhausted(let what) {
        environment.log.error("accept-failed", ["error": .string(what)])
        try? await environment.clock.sleep(for: .milliseconds(100))
      } catch is NodeDown {
        return release()
      } catch {
        return
      }
    }
  }

  private func serve(_ id: Int) async {
    guard let client = connections[id] else { return }
    do {
      try await serve(client)
    } catch let error as AMQPError {
      _ = await release(client)
      await refuse(client, error)
    } catch {
      // The client has left.
    }
    await end(client)
  }

  private func serve(_ client: BrokerConnection) async throws {
    var parser = AMQPParser(isServer: true)
    parser.takesContent = false
    parser.frameMax = BrokerConnection.strangerFrame
    parser.maximumBody = options.maximumMessage
    let begin = environment.clock.now
    while !client.isGone {
      let isOpen = client.phase == .open
      let bytes = try await client.connection.read(
        atMost: isOpen ? 131_072 : 4096, deadline: isOpen ? nil : begin + Self.handshakePatience)
      if bytes.isEmpty { break }
      client.lastHeard = environment.clock.now
      parser.receive(bytes)
      while !client.isGone, let event = try parser.next() {
        switch event {
        // The answer precedes those to methods that the client has sent without waiting for it.
        case .greeting: handshake.greet(client)
        case .command(let command):
          try takeNoting(command, client)
          if client.phase == .open, !parser.takesContent {
            parser.takesContent = true
            parser.frameMax = client.frameMax
          }
          try await catchUp(client)
        case .heartbeat: break
        }
      }
      try client.charge(parser.bytesUnderWay)
      client.sendConfirms()
      guard await release(client) else { throw AMQPError(541, "INTERNAL_ERROR - the broker is stopping") }
      client.flush()
      if client.phase == .open, !client.isGone { await throttle.wait(client) }
    }
  }

  /// Takes a command. Notes its method if it ends the connection.
  private func takeNoting(_ command: AMQPCommand, _ client: BrokerConnection) throws(AMQPError) {
    do throws(AMQPError) {
      try take(command, client)
    } catch {
      client.failedMethod = error.code == 403 ? 0 : command.method.id
      throw error
    }
  }

  private func take(_ command: AMQPCommand, _ client: BrokerConnection) throws(AMQPError) {
    switch (client.phase, command.method) {
    case (.closing, .connectionCloseOk): client.leave()
    case (.closing, _): break
    case (_, .connectionClose):
      client.hasClosed = true
      client.send(.connectionCloseOk, on: 0)
      client.leave()
    case (.open, _): try commands.take(command, client)
    case (.starting, _), (.tuning, _), (.opening, _):
      guard try handshake.take(command.method, client) else { return }
      admit(client)
      guard client.heartbeat > .zero else { return }
      environment.executor.spawn("broker-heartbeat") { [id = client.id] in await self.beat(id) }
    }
  }

  /// Waits until the last command is done and the client has taken most of its output. A client
  /// that does not read is not read from.
  private func catchUp(_ client: BrokerConnection) async throws {
    while let (command, queue) = client.pendingGet, !client.isGone {
      client.pendingGet = nil
      await dispatcher.loaded(queue)
      try takeNoting(command, client)
    }
    guard !client.hasRoom, !client.isGone else { return }
    client.sendConfirms()
    guard await release(client) else { throw AMQPError(541, "INTERNAL_ERROR - the broker is stopping") }
    client.flush()
    client.isPaused = true
    await client.waitForRoom()
    client.isPaused = false
    client.lastHeard = environment.clock.now
  }

  /// Waits until the answers in the output are true: one commit for all. Returns false when the
  /// broker is down.
  private func release(_ client: BrokerConnection) async -> Bool {
    guard client.output.isHolding else { return true }
    // The commit may take long, and the client is not heard meanwhile.
    client.isPaused = true
    let isStored = await journal.stored()
    client.isPaused = false
    client.lastHeard = environment.clock.now
    client.output.release(isStored: isStored)
    return isStored
  }

  /// Closes a connection with an error, and waits a moment until the client has read it.
  private func refuse(_ client: BrokerConnection, _ error: AMQPError) async {
    environment.log.info("amqp-refused", ["code": .int(Int64(error.code)), "reason": .string(error.reason)])
    if error.code == 0 {
      // The client speaks another protocol. It gets the header of this one (§4.2.2).
      client.output.bytes += AMQPParser.protocolHeader
    } else {
      client.send(
        .connectionClose(
          code: error.code, text: error.reason, classID: UInt16(client.failedMethod >> 16),
          methodID: UInt16(client.failedMethod & 0xFFFF)), on: 0)
    }
    client.phase = .closing
    client.flush()
    await client.drain(before: environment.clock.now + Self.closePatience)
  }

  /// Ends a connection and everything that belongs to it.
  private func end(_ client: BrokerConnection) async {
    client.leave()
    removals.close(client)
    client.endCharge()
    if !options.planted(.keepsStrangers) { admit(client) }
    await client.outlet.waitUntilIdle(before: environment.clock.now + Self.closePatience, in: environment)
    if client.hasClosed { await client.drain(before: environment.clock.now + Self.closePatience) }
    client.connection.close()
    connections[client.id] = nil
    connectionEnded.open()
  }

  /// Releases the memory that is reserved for a client until its connection is open, or gone.
  private func admit(_ client: BrokerConnection) {
    guard client.isStranger else { return }
    client.isStranger = false
    environment.memory.strangers.release(BrokerConnection.strangerBytes)
  }

  private func beat(_ id: Int) async {
    guard let interval = connections[id]?.heartbeat else { return }
    while let client = connections[id], !client.isGone {
      do { try await environment.clock.sleep(for: interval / 2) } catch { return }
      guard !client.isGone else { return }
      // A client that is not read from cannot be heard. Its outlet ends it if it does not read.
      if !client.isPaused, environment.clock.now - client.lastHeard > interval * 2 {
        environment.log.info("amqp-heartbeat-missed", ["connection": .int(Int64(id))])
        giveUp(client)
        return
      }
      // Any output shows that the broker is alive (AMQP 0-9-1 §4.2.7).
      guard environment.clock.now - client.outlet.lastWrite >= interval / 2 else { continue }
      client.output.writeHeartbeat()
      client.flush()
    }
  }

  private func giveUp(_ client: BrokerConnection) {
    client.leave()
    client.connection.reset()
  }
}
