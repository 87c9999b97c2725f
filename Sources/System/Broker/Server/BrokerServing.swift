import Environment

/// One connection: its bytes, its handshake, its heartbeats, its end.
extension Broker {
  /// Time for the handshake.
  private static let patience: Duration = .seconds(10)
  /// Time for a client to take what it is sent.
  private static let writePatience: Duration = .seconds(60)

  func serve(_ id: Int) async {
    guard let client = connections[id] else { return }
    do {
      try await serve(client)
    } catch let error as AMQPError {
      _ = await release(client)
      await refuse(client, error)
    } catch {
      // The client went away.
    }
    await end(client)
  }

  private func serve(_ client: BrokerConnection) async throws {
    var parser = AMQPParser(isServer: true)
    parser.takesContent = false
    parser.frameMax = BrokerConnection.strangerFrame
    let begin = environment.clock.now
    var isGreeted = false
    while !client.isGone {
      let isOpen = client.phase == .open
      let bytes = try await client.connection.read(
        atMost: isOpen ? 131_072 : 4096, deadline: isOpen ? nil : begin + Self.patience)
      if bytes.isEmpty { break }
      client.lastHeard = environment.clock.now
      parser.receive(bytes)
      while !client.isGone, let event = try parser.next() {
        if case .command(let command) = event {
          try take(command, client)
          if client.phase == .open, !parser.takesContent {
            parser.takesContent = true
            parser.frameMax = client.frameMax
          }
          try await catchUp(client)
        }
      }
      try client.charge(parser.bytesUnderWay)
      if !isGreeted, parser.isGreeted {
        isGreeted = true
        greet(client)
      }
      guard await release(client) else { throw AMQPError(541, "INTERNAL_ERROR - the broker is stopping") }
      flush(client)
      if client.phase == .open, !client.isGone { await waitForRoom(client) }
    }
  }

  /// Waits until the last command is done and the client has taken most of what it was sent: who does not read is not read from.
  private func catchUp(_ client: BrokerConnection) async throws {
    while let (command, queue) = client.pendingGet, !client.isGone {
      client.pendingGet = nil
      await loaded(queue)
      try take(command, client)
    }
    guard !client.hasRoom, !client.isGone else { return }
    guard await release(client) else { throw AMQPError(541, "INTERNAL_ERROR - the broker is stopping") }
    flush(client)
    client.isPaused = true
    await client.waitForRoom()
    client.isPaused = false
    client.lastHeard = environment.clock.now
  }

  /// Waits until what was answered is on the disk: once for all that came together. False when the broker is down.
  private func release(_ client: BrokerConnection) async -> Bool {
    guard client.isHolding else { return true }
    // The disk may take its time. The client cannot be heard meanwhile.
    client.isPaused = true
    let isStored = await stored()
    client.isPaused = false
    client.lastHeard = environment.clock.now
    client.release(sending: isStored)
    return isStored
  }

  private func greet(_ client: BrokerConnection) {
    client.send(
      .connectionStart(
        properties: [
          "product": .text("Parley"), "version": .text(Release.version), "platform": .text("Swift"),
          "capabilities": .table([
            "publisher_confirms": .boolean(true), "basic.nack": .boolean(true),
            "consumer_cancel_notify": .boolean(true), "authentication_failure_close": .boolean(true),
            "per_consumer_qos": .boolean(true), "exchange_exchange_bindings": .boolean(false),
            "connection.blocked": .boolean(true),
          ]),
        ], mechanisms: "PLAIN", locales: "en_US"), on: 0)
  }

  /// Says why the connection is closed, and waits a moment for the client to have heard it.
  private func refuse(_ client: BrokerConnection, _ error: AMQPError) async {
    environment.log.info("amqp-refused", ["code": .int(Int64(error.code)), "reason": .string(error.reason)])
    if error.code == 0 {
      // Another protocol: say which one is spoken here (§4.2.2).
      client.output += AMQPParser.protocolHeader
    } else {
      client.send(.connectionClose(code: error.code, text: error.reason, classID: 0, methodID: 0), on: 0)
    }
    client.phase = .closing
    flush(client)
    let deadline = environment.clock.now + .seconds(2)
    var parser = AMQPParser(isServer: false)
    parser.takesContent = false
    var isReadable = true
    // Of what still comes only the answer to the close is of interest. The rest is dropped, so that it fills no memory.
    while let bytes = try? await client.connection.read(atMost: 65_536, deadline: deadline), !bytes.isEmpty {
      guard isReadable else { continue }
      parser.receive(bytes)
      do throws(AMQPError) {
        while let event = try parser.next() {
          if case .command(let command) = event, case .connectionCloseOk = command.method { return }
        }
      } catch {
        isReadable = false
        parser = AMQPParser(isServer: false)
      }
    }
  }

  /// Everything that belongs to a connection ends with it.
  private func end(_ client: BrokerConnection) async {
    client.leave()
    for number in client.channels.keys.sorted() { close(client.channels[number]!) }
    for name in client.ownedQueues.elements { queues[name].map(delete) }
    client.endCharge()
    if !options.planted(.keepsStrangers) { admit(client) }
    let deadline = environment.clock.now + .seconds(2)
    while client.isWriting, environment.clock.now < deadline {
      do { try await environment.clock.sleep(for: .milliseconds(1)) } catch { break }
    }
    client.connection.close()
    connections[client.id] = nil
  }

  /// A client is no stranger any more: it has logged in, or is gone.
  private func admit(_ client: BrokerConnection) {
    guard client.isStranger else { return }
    client.isStranger = false
    environment.memory.strangers.release(BrokerConnection.strangerBytes)
  }

  // MARK: Output

  /// Sends what is queued for a client.
  func flush(_ client: BrokerConnection) {
    guard !client.isWriting, client.hasOutput else { return }
    client.isWriting = true
    environment.executor.post(to: self) { [id = client.id] in $0.writeAll(id) }
  }

  /// Writes as much as the network takes at once; a task of its own waits for it to take the rest.
  private func writeAll(_ id: Int) {
    guard let client = connections[id] else { return }
    do {
      while client.hasOutput {
        let batch = client.takeOutput()
        client.lastSent = environment.clock.now
        let count = try client.connection.writeNow(batch[...])
        if count < batch.count {
          client.underWrite = batch.count - count
          environment.executor.spawn("broker-writer") { await self.write(Array(batch[count...]), id) }
          return
        }
        goOn(client)
      }
    } catch {
      giveUp(client)
    }
    client.isWriting = false
  }

  private func write(_ rest: [UInt8], _ id: Int) async {
    guard let client = connections[id] else { return }
    do {
      try await client.connection.write(rest, deadline: environment.clock.now + Self.writePatience)
      client.underWrite = 0
      goOn(client)
      writeAll(id)
    } catch {
      giveUp(client)
      client.isWriting = false
    }
  }

  private func giveUp(_ client: BrokerConnection) {
    client.leave()
    client.connection.reset()
  }

  /// Gives a client that has room again what waited for that.
  func goOn(_ client: BrokerConnection) {
    client.wakeReader()
    while client.hasRoom, client.mayHoldMore, let consumer = client.starved.removeFirst() {
      consumer.waitsForConnection = false
      wake(consumer)
    }
  }

  // MARK: Handshake and heartbeats

  func take(_ command: AMQPCommand, _ client: BrokerConnection) throws {
    if client.phase == .closing {
      if case .connectionCloseOk = command.method { client.leave() }
      return
    }
    switch (client.phase, command.method) {
    case (_, .connectionClose):
      client.send(.connectionCloseOk, on: 0)
      client.leave()
    case (.open, _):
      guard command.channel != 0 else { throw AMQPError(503, "COMMAND_INVALID - a method on channel 0") }
      try take(command, on: command.channel, client)
    case (.starting, .connectionStartOk(let properties, let mechanism, let response, _)):
      guard mechanism == "PLAIN" else { throw AMQPError(503, "COMMAND_INVALID - only PLAIN is served") }
      client.user = try BrokerLogin.user(
        response, serviceToken: options.serviceToken, isLoopback: client.connection.peer.isLoopback)
      if case .table(let capabilities)? = properties["capabilities"] {
        client.hearsCancellations = capabilities["consumer_cancel_notify"] == .boolean(true)
        client.hearsBlocking = capabilities["connection.blocked"] == .boolean(true)
      }
      client.phase = .tuning
      client.send(
        .connectionTune(
          channelMax: Self.maximumChannels, frameMax: UInt32(AMQPParser.maximumFrame),
          heartbeat: UInt16(clamping: options.heartbeat.components.seconds)), on: 0)
    case (.tuning, .connectionTuneOk(_, let frame, let heartbeat)):
      guard frame == 0 || frame >= 4096, frame <= AMQPParser.maximumFrame else {
        throw AMQPError(530, "NOT_ALLOWED - a frame has 4096 to \(AMQPParser.maximumFrame) bytes")
      }
      if frame > 0 { client.frameMax = Int(frame) }
      client.heartbeat = .seconds(Int64(heartbeat))
      client.phase = .opening
    case (.opening, .connectionOpen(let host)):
      guard host == "/" else { throw AMQPError(530, "NOT_ALLOWED - no access to vhost '\(host.prefix(64))'") }
      client.phase = .open
      admit(client)
      client.send(.connectionOpenOk, on: 0)
      if client.heartbeat > .zero {
        environment.executor.spawn("broker-heartbeat") { [id = client.id] in await self.beat(id) }
      }
    default: throw AMQPError(503, "COMMAND_INVALID - not now")
    }
  }

  static let maximumChannels: UInt16 = 2047

  private func beat(_ id: Int) async {
    guard let interval = connections[id]?.heartbeat else { return }
    while let client = connections[id], !client.isGone {
      do { try await environment.clock.sleep(for: interval / 2) } catch { return }
      guard !client.isGone else { return }
      // Of a client that is not read from nothing can be heard; what it does not take is given up after `writePatience`.
      if !client.isPaused, environment.clock.now - client.lastHeard > interval * 2 {
        environment.log.info("amqp-heartbeat-missed", ["connection": .int(Int64(id))])
        client.leave()
        client.connection.reset()
        return
      }
      // Whatever is sent shows that the broker lives (AMQP 0-9-1 §4.2.7).
      guard environment.clock.now - client.lastSent >= interval / 2 else { continue }
      client.sendHeartbeat()
      flush(client)
    }
  }
}
