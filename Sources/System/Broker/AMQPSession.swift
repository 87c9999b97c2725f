/// One connection of a client after the other: the handshake, what is said again, what comes.
extension AMQPClient {
  func run() async {
    // Handlers hold the service that holds this client.
    defer { consumers = [:] }
    var failures = 0
    while !isClosed {
      do {
        try await session { failures = 0 }
      } catch is NodeDown {
        endQuestions()
        return failAll()
      } catch {
        if !isClosed { environment.log.info("amqp-connection-lost", ["error": .string("\(error)")]) }
      }
      isReady = false
      endQuestions()
      connection?.reset()
      connection = nil
      output = []
      for channel in consumers.keys.sorted() { consumers[channel]!.waiting = [] }
      guard !isClosed else { return }
      failures = min(failures + 1, 6)
      // Back-off with jitter, so that not all come back at once.
      let most = Int64(50_000) << Int64(failures)
      let wait = most / 2 + Int64(environment.entropy.below(UInt64(most / 2)))
      do { try await environment.clock.sleep(for: .microseconds(wait)) } catch { return failAll() }
    }
  }

  /// What was asked over a connection is not answered after its end.
  private func endQuestions() {
    endDepths()
    endAnswers(false)
  }

  /// One connection, from its handshake to its end.
  private func session(_ connected: () -> Void) async throws {
    let deadline = environment.clock.now + Self.patience
    let connection = try await environment.network.connect(to: broker.address, deadline: deadline)
    self.connection = connection
    generation += 1
    var parser = AMQPParser(isServer: false)
    try await connection.write(AMQPParser.protocolHeader, deadline: deadline)
    var heartbeat: UInt16 = 0
    shaking: while true {
      while let event = try parser.next() {
        guard case .command(let command) = event else { continue }
        switch command.method {
        case .connectionStart:
          AMQPFrames.write(
            .connectionStartOk(
              properties: [
                "product": .text("Parley"),
                "capabilities": .table([
                  "consumer_cancel_notify": .boolean(true), "connection.blocked": .boolean(true),
                ]),
              ], mechanism: "PLAIN",
              response: [0] + Array(broker.user.utf8) + [0] + Array(broker.password.utf8), locale: "en_US"), 0,
            to: &output)
        case .connectionTune(let channels, let frame, let proposed):
          // 0 stands for no bound; no broker may ask for less than 4096 (AMQP 0-9-1, `frame-min-size`).
          guard frame == 0 || frame >= 4096 else { throw AMQPError(501, "frames of \(frame) bytes") }
          frameMax = frame == 0 ? AMQPParser.maximumFrame : min(Int(frame), AMQPParser.maximumFrame)
          heartbeat = proposed == 0 ? 0 : min(proposed, Self.heartbeat)
          AMQPFrames.write(
            .connectionTuneOk(channelMax: channels, frameMax: UInt32(frameMax), heartbeat: heartbeat), 0,
            to: &output)
          AMQPFrames.write(.connectionOpen(virtualHost: "/"), 0, to: &output)
        case .connectionOpenOk: break shaking
        case .connectionClose(let code, let text, _, _): throw AMQPError(code, text)
        default: throw AMQPError(503, "an answer that was not expected")
        }
        flush()
      }
      let bytes = try await connection.read(atMost: 65_536, deadline: deadline)
      if bytes.isEmpty { throw NetworkError.closed }
      parser.receive(bytes)
    }
    connected()
    begin()
    if heartbeat > 0 { startHeartbeat(.seconds(Int64(heartbeat))) }
    let patience: Duration? = heartbeat > 0 ? .seconds(Int64(heartbeat) * 3) : nil
    while true {
      while let event = try parser.next() {
        if case .command(let command) = event, try !take(command) { return }
      }
      guard parser.bytesUnderWay <= Self.maximumUnderWay else {
        throw AMQPError(506, "too much of too many deliveries is under way")
      }
      flush()
      let bytes = try await connection.read(atMost: 131_072, deadline: patience.map { environment.clock.now + $0 })
      if bytes.isEmpty { throw NetworkError.closed }
      parser.receive(bytes)
    }
  }

  /// Brings a new connection to where the last one was.
  private func begin() {
    isReady = true
    isBlocked = false
    closing = []
    reopening = []
    AMQPFrames.write(.channelOpen, Self.publisher, to: &output)
    AMQPFrames.write(.confirmSelect(noWait: false), Self.publisher, to: &output)
    for deletion in deletions { write(deletion) }
    for declaration in declarations { write(declaration) }
    // Tags count from 1 on each connection.
    sent = []
    settledTags = 0
    for number in unconfirmed.keys.sorted() { write(number) }
    for channel in consumers.keys.sorted() { open(channel) }
    flush()
  }

  /// Asks how a queue is, on the channel on which it was declared.
  func write(_ question: AMQPMethod.QueueDeclaration) {
    AMQPFrames.write(.queueDeclare(question), Self.publisher, to: &output)
  }

  func write(_ declaration: AMQPDeclaration) {
    AMQPFrames.write(declaration, Self.publisher, to: &output)
  }

  func write(_ number: UInt64) {
    guard let publication = unconfirmed[number] else { return }
    do throws(AMQPFramingError) {
      // It fits the largest frames; this broker's may be smaller.
      try AMQPFramingError.check(header: publication.properties, frameMax: frameMax)
    } catch {
      unconfirmed.removeValue(forKey: number)
      return publication.batch.failed(error)
    }
    sent.append(number)
    AMQPFrames.write(
      .basicPublish(
        exchange: publication.exchange, routingKey: publication.routingKey, mandatory: false, immediate: false),
      properties: publication.properties, body: publication.body, Self.publisher, frameMax: frameMax, to: &output)
  }

  func open(_ channel: UInt16) {
    guard let consumer = consumers[channel] else { return }
    openings += 1
    consumers[channel]!.opening = openings
    consumers[channel]!.isOpen = true
    AMQPFrames.writeConsumer(
      of: consumer.queue, isExclusive: consumer.isExclusive, prefetch: Self.prefetch, channel, to: &output)
  }

  private func startHeartbeat(_ interval: Duration) {
    let generation = generation
    environment.executor.spawn("amqp-heartbeat") { await self.beat(interval, generation) }
  }

  private func beat(_ interval: Duration, _ generation: Int) async {
    while true {
      let last = lastSent
      do { try await environment.clock.sleep(until: last + interval / 2) } catch { return }
      guard generation == self.generation, isReady, !isClosed else { return }
      // Whatever is sent shows that the client lives (AMQP 0-9-1 §4.2.7).
      guard lastSent == last else { continue }
      lastSent = environment.clock.now
      AMQPFrames.writeHeartbeat(to: &output)
      flush()
    }
  }

  // MARK: What comes

  /// False when the connection has ended in order.
  private func take(_ command: AMQPCommand) throws -> Bool {
    switch command.method {
    case .basicAck(let tag, let multiple): confirm(tag, multiple)
    case .basicNack(let tag, let multiple, _):
      // The broker could not take it: a new connection publishes it again.
      throw AMQPError(506, "publication \(tag) was refused\(multiple ? ", and those before" : "")")
    case .basicDeliver(_, let tag, let redelivered, _, _):
      guard consumers[command.channel] != nil else { return true }
      let delivery = AMQPDelivery(
        properties: properties(of: command), body: command.body, isRedelivered: redelivered, tag: tag)
      guard consumers[command.channel]!.waiting.count < 2 * Int(Self.prefetch) else {
        throw AMQPError(506, "the broker delivers more than was asked for")
      }
      consumers[command.channel]!.waiting.append(delivery)
      work(command.channel)
    case .queueDeclareOk(let queue, let messages, _): noteDepth(queue, messages)
    case .queueDeleteOk: noteDeletion()
    case .basicQosOk where command.channel == Self.publisher: endAnswers(true)
    case .connectionBlocked(let reason):
      environment.log.warning("amqp-blocked", ["reason": .string(reason)])
      isBlocked = true
    case .connectionUnblocked: isBlocked = false
    case .basicCancel:
      // The queue was deleted; whoever did it declares it anew, and the consumer goes on there.
      guard consumers[command.channel] != nil, !reopening.contains(command.channel) else { return true }
      consumers[command.channel]!.waiting = []
      AMQPFrames.write(.channelClose(code: 200, text: "again", classID: 0, methodID: 0), command.channel, to: &output)
      reopening.insert(command.channel)
    case .channelCloseOk:
      closing.remove(command.channel)
      if reopening.remove(command.channel) != nil { open(command.channel) }
    case .channelClose(403, _, _, _) where consumers[command.channel]?.isExclusive == true:
      AMQPFrames.write(.channelCloseOk, command.channel, to: &output)
      consumers[command.channel]!.isOpen = false
      let opening = consumers[command.channel]!.opening
      environment.executor.spawn("amqp-wait-for-queue") { await self.openAgain(command.channel, opening) }
    case .channelClose where closing.contains(command.channel):
      // Both sides have closed it at once.
      AMQPFrames.write(.channelCloseOk, command.channel, to: &output)
    case .channelClose(let code, let text, _, _):
      AMQPFrames.write(.channelCloseOk, command.channel, to: &output)
      throw AMQPError(code, text)
    case .connectionClose(let code, let text, _, _):
      AMQPFrames.write(.connectionCloseOk, 0, to: &output)
      flush()
      throw AMQPError(code, text)
    case .connectionCloseOk: return false
    default: break
    }
    return true
  }

  /// Properties that cannot be read are none: the handler sets such a message aside, and the queue goes on.
  private func properties(of command: AMQPCommand) -> AMQPProperties {
    do throws(AMQPError) {
      return try command.readProperties()
    } catch {
      environment.log.error("amqp-properties", ["error": .string(error.reason)])
      return AMQPProperties()
    }
  }

  /// Another consumer has the queue: a dead one, of which the broker has not noticed that it is.
  private func openAgain(_ channel: UInt16, _ opening: Int) async {
    do { try await environment.clock.sleep(for: Self.queuePatience) } catch { return }
    guard isReady, !isClosed, consumers[channel]?.opening == opening else { return }
    open(channel)
    flush()
  }

  private func confirm(_ tag: UInt64, _ multiple: Bool) {
    guard tag > settledTags, tag - settledTags <= UInt64(sent.count) else { return }
    let last = Int(tag - settledTags) - 1
    for index in (multiple ? 0 : last)...last { unconfirmed.removeValue(forKey: sent[index])?.batch.confirmed() }
    // Tags may be confirmed in any order: those at the front that are done are forgotten.
    var done = 0
    while done < sent.count, unconfirmed[sent[done]] == nil { done += 1 }
    sent.removeFirst(done)
    settledTags += UInt64(done)
  }
}
