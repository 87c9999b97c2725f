/// One connection: its bytes, its handshake, its heartbeats, its end.
extension Broker {
  /// Time for the handshake.
  private static let patience: Duration = .seconds(10)
  /// Time for a client to take what it is sent.
  private static let writePatience: Duration = .seconds(60)

  func serve(_ id: Int) async {
    guard let client = connections[id] else { return }
    var parser = AMQPParser(isServer: true)
    let begin = environment.clock.now
    do {
      var isGreeted = false
      while !client.isGone {
        let deadline = client.phase == .open ? nil : begin + Self.patience
        let bytes = try await client.connection.read(atMost: 131_072, deadline: deadline)
        if bytes.isEmpty { break }
        client.lastHeard = environment.clock.now
        parser.receive(bytes)
        while !client.isGone, let event = try parser.next() {
          if case .command(let command) = event { try take(command, client) }
        }
        if !isGreeted, parser.isGreeted {
          isGreeted = true
          greet(client)
        }
        guard await release(client) else { throw AMQPError(541, "INTERNAL_ERROR - the broker is stopping") }
        flush(client)
        if client.phase == .open, !client.isGone { await waitForRoom() }
      }
    } catch let error as AMQPError {
      _ = await release(client)
      await refuse(client, error)
    } catch {
      // The client went away.
    }
    await end(client)
  }

  /// Waits until what was answered is on the disk: once for all that came together. False when the broker is down.
  private func release(_ client: BrokerConnection) async -> Bool {
    guard client.isHolding else { return true }
    let isStored = await stored()
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
            "connection.blocked": .boolean(false),
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
    // What still comes is of no interest but for the answer to the close.
    while let bytes = try? await client.connection.read(atMost: 65_536, deadline: deadline), !bytes.isEmpty {
      parser.receive(bytes)
      while let event = try? parser.next() {
        if case .command(let command) = event, case .connectionCloseOk = command.method { return }
      }
    }
  }

  /// Everything that belongs to a connection ends with it.
  private func end(_ client: BrokerConnection) async {
    client.isGone = true
    for number in client.channels.keys.sorted() { close(client.channels[number]!) }
    for name in queues.keys.sorted() where queues[name]?.owner == client.id { delete(queues[name]!) }
    let deadline = environment.clock.now + .seconds(2)
    while client.isWriting, environment.clock.now < deadline {
      do { try await environment.clock.sleep(for: .milliseconds(1)) } catch { break }
    }
    client.connection.close()
    connections[client.id] = nil
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
      goOn(client)
      writeAll(id)
    } catch {
      giveUp(client)
      client.isWriting = false
    }
  }

  private func giveUp(_ client: BrokerConnection) {
    client.isGone = true
    client.connection.reset()
  }

  /// Gives a client that has room again what waited for that.
  private func goOn(_ client: BrokerConnection) {
    guard client.isStarved, client.hasRoom else { return }
    client.isStarved = false
    dispatchQueues(of: client)
  }

  // MARK: Handshake and heartbeats

  func take(_ command: AMQPCommand, _ client: BrokerConnection) throws {
    if client.phase == .closing {
      if case .connectionCloseOk = command.method { client.isGone = true }
      return
    }
    switch (client.phase, command.method) {
    case (_, .connectionClose):
      client.send(.connectionCloseOk, on: 0)
      client.isGone = true
    case (.open, _):
      guard command.channel != 0 else { throw AMQPError(503, "COMMAND_INVALID - a method on channel 0") }
      try take(command, on: command.channel, client)
    case (.starting, .connectionStartOk(let properties, let mechanism, let response, _)):
      guard mechanism == "PLAIN" else { throw AMQPError(503, "COMMAND_INVALID - only PLAIN is served") }
      try authenticate(client, response)
      if case .table(let capabilities)? = properties["capabilities"] {
        client.hearsCancellations = capabilities["consumer_cancel_notify"] == .boolean(true)
      }
      client.phase = .tuning
      client.send(
        .connectionTune(
          channelMax: Self.maximumChannels, frameMax: UInt32(AMQPParser.maximumFrame),
          heartbeat: UInt16(options.heartbeat.components.seconds)), on: 0)
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
      client.send(.connectionOpenOk, on: 0)
      if client.heartbeat > .zero {
        environment.executor.spawn("broker-heartbeat") { [id = client.id] in await self.beat(id) }
      }
    default: throw AMQPError(503, "COMMAND_INVALID - not now")
    }
  }

  static let maximumChannels: UInt16 = 2047

  /// PLAIN (RFC 4616): over loopback `guest` will do, else the service token is the password.
  private func authenticate(_ client: BrokerConnection, _ response: [UInt8]) throws(AMQPError) {
    let parts = response.split(separator: 0, maxSplits: 2, omittingEmptySubsequences: false)
    let refusal = AMQPError(403, "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN")
    guard parts.count == 3 else { throw refusal }
    let user = String(decoding: parts[1], as: UTF8.self)
    let isGuest = user == "guest" && parts[2].elementsEqual("guest".utf8) && client.connection.peer.isLoopback
    let isService =
      user == "parley" && (options.serviceToken.map { Cryptography.constantTimeEqual($0.utf8, parts[2]) } ?? false)
    guard isGuest || isService else { throw refusal }
    client.user = user
  }

  private func beat(_ id: Int) async {
    guard let interval = connections[id]?.heartbeat else { return }
    while let client = connections[id], !client.isGone {
      do { try await environment.clock.sleep(for: interval / 2) } catch { return }
      guard !client.isGone else { return }
      if environment.clock.now - client.lastHeard > interval * 2 {
        environment.log.info("amqp-heartbeat-missed", ["connection": .int(Int64(id))])
        client.isGone = true
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
