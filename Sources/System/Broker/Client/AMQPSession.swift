import Environment

/// One connection of a client after the other: the handshake, what is said again, what comes.
extension AMQPClient {
  func run() async {
    // Handlers hold the service that holds this client.
    defer { consumers = [:] }
    var failures = 0
    while !isClosed {
      connectedAt = nil
      do {
        try await session()
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
      for id in consumers.keys.sorted() { forgetWaiting(id) }
      guard !isClosed else { return }
      // One that ends at once is no success: what ended it may be there again.
      if let connectedAt, environment.clock.now - connectedAt >= Self.provenAfter { failures = 0 }
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
  private func session() async throws {
    let deadline = environment.clock.now + Self.patience
    let connection = try await environment.network.connect(to: broker.address, deadline: deadline)
    self.connection = connection
    generation += 1
    var parser = AMQPParser(isServer: false)
    try await connection.write(AMQPParser.protocolHeader, deadline: deadline)
    var interval: Duration?
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
          self.channels = AMQPChannels(maximum: channels)
          // 0 proposes none. Without them a broker that has gone silent is never found out.
          let heartbeat = proposed == 0 ? Self.heartbeat : min(proposed, Self.heartbeat)
          interval = .seconds(Int64(heartbeat))
          AMQPFrames.write(
            .connectionTuneOk(channelMax: channels, frameMax: UInt32(frameMax), heartbeat: heartbeat), 0,
            to: &output)
          AMQPFrames.write(.connectionOpen(virtualHost: "/"), 0, to: &output)
        case .connectionOpenOk where interval != nil: break shaking
        case .connectionClose(let code, let text, _, _): throw AMQPError(code, text)
        default: throw AMQPError(503, "an answer that was not expected")
        }
        flush()
      }
      let bytes = try await connection.read(atMost: 65_536, deadline: deadline)
      if bytes.isEmpty { throw NetworkError.closed }
      parser.receive(bytes)
    }
    connectedAt = environment.clock.now
    begin()
    let heartbeat = interval ?? .seconds(Int64(Self.heartbeat))
    startHeartbeat(heartbeat)
    while true {
      while let event = try parser.next() {
        if case .command(let command) = event, try !take(command) { return }
      }
      guard parser.bytesUnderWay <= Self.maximumUnderWay else {
        throw AMQPError(506, "too much of too many deliveries is under way")
      }
      flush()
      let bytes = try await connection.read(atMost: 131_072, deadline: environment.clock.now + heartbeat * 3)
      if bytes.isEmpty { throw NetworkError.closed }
      parser.receive(bytes)
    }
  }

  /// Brings a new connection to where the last one was.
  private func begin() {
    isReady = true
    isBlocked = false
    openPublisher()
    for id in consumers.keys.sorted() {
      consumers[id]!.channel = nil
      consumers[id]!.isOpen = false
      channels.waiting.append(id)
    }
    openWaiting()
    flush()
  }

  /// Opens channels for the consumers that wait for one, as long as there are any.
  func openWaiting() {
    while let (channel, id) = channels.takeNext(where: { consumers[$0] != nil }) { open(id, on: channel) }
  }

  /// Asks how a queue is, on the channel on which it was declared.
  func write(_ question: AMQPMethod.QueueDeclaration) {
    AMQPFrames.write(.queueDeclare(question), Self.publisher, to: &output)
  }

  func write(_ declaration: AMQPDeclaration) {
    AMQPFrames.write(declaration, Self.publisher, to: &output)
  }

  func open(_ id: Int, on channel: UInt16) {
    guard let consumer = consumers[id] else { return }
    openings += 1
    consumers[id]!.opening = openings
    consumers[id]!.channel = channel
    consumers[id]!.isOpen = true
    AMQPFrames.writeConsumer(
      of: consumer.queue, isExclusive: consumer.isExclusive, prefetch: prefetch, channel, to: &output)
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
}
