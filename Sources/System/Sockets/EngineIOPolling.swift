import Environment

/// The polling transport: packets arrive in the bodies of POSTs and leave in the answers to GETs.
extension EngineIOServer {
  /// Answers a polling request of a session.
  func poll(_ session: EngineIOSession, _ request: HTTPRequest) -> Reply {
    guard case .polling = session.transport else { return Self.failure(3, "Bad request") }
    switch request.method {
    case "GET": return wait(session)
    case "POST": return receive(session, request.body)
    default: return Self.failure(2, "Bad request method")
    }
  }

  /// Takes the packets of the next answer to a polling request.
  func takePayload(of session: EngineIOSession) -> [UInt8] {
    session.takePayload(limit: options.maximumPayload, packets: environment.limits[.pollPackets])
  }

  private func wait(_ session: EngineIOSession) -> Reply {
    if session.poll != nil {
      session.answerPoll([.close])
      end(session, reason: "two polling requests at once")
      return Self.failure(3, "another polling request is waiting")
    }
    if session.hasPackets { return .response(Self.payload(takePayload(of: session))) }
    if session.isProbed { return .response(Self.payload(Array(EngineIOPacket.noop.text.utf8))) }
    let id = session.id
    return .waiting(
      answer: { await self.nextPayload(id) }, gone: { await self.pollIsGone(id) })
  }

  /// Waits for packets. Since the request was accepted, another one may have arrived, or the
  /// transport may have changed.
  private func nextPayload(_ id: String) async -> HTTPResponse {
    guard let session = sessions[id] else { return Self.payload(Array(EngineIOPacket.close.text.utf8)) }
    guard session.poll == nil else {
      end(session, reason: "two polling requests at once")
      return Self.payload(Array(EngineIOPacket.close.text.utf8))
    }
    guard case .polling = session.transport, !session.isProbed else {
      return Self.payload(Array(EngineIOPacket.noop.text.utf8))
    }
    if session.hasPackets { return Self.payload(takePayload(of: session)) }
    return Self.payload(await withUnsafeContinuation { session.poll = $0 })
  }

  /// A client that cancels a polling request is gone, unless the WebSocket has taken over.
  private func pollIsGone(_ id: String) {
    guard let session = sessions[id], case .polling = session.transport else { return }
    end(session, reason: "the polling request was cancelled")
  }

  private func receive(_ session: EngineIOSession, _ body: [UInt8]) -> Reply {
    guard body.count <= options.maximumPayload else {
      end(session, reason: "payload too large")
      return Self.failure(3, "the payload is too large", status: 413)
    }
    guard let packets = EngineIOPacket.payload(body) else {
      end(session, reason: "invalid payload")
      return Self.failure(3, "invalid packet")
    }
    for packet in packets {
      guard !session.isClosed else { break }
      take(packet, session)
    }
    return .response(HTTPResponse(status: 200, fields: [("content-type", "text/html")], body: Array("ok".utf8)))
  }
}
