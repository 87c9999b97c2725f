import Environment

/// A socket: one client in one namespace.
public struct SocketID: Hashable, Sendable {
  /// The Engine.IO session of the socket.
  let session: String
  /// The namespace.
  public let namespace: String
  /// The id that the client knows.
  public let id: String
}

/// The answer of an application to a socket that asks to connect.
public enum SocketAdmission: Sendable {
  /// The socket is admitted to these rooms. It receives all events for them from the moment its
  /// client is told. At that moment, `objection` may still refuse it. With `recovery`, it receives
  /// the events that its client has missed before.
  case accepted(rooms: [String], recovery: SocketRecovery? = nil, objection: @Sendable () -> String? = { nil })
  /// The message of the CONNECT_ERROR.
  case refused(String)
}

/// The connection state recovery of Socket.IO 4.6: the client is told an id, and the offset of each
/// event that has one. When it comes back with both, it receives what it has missed.
public struct SocketRecovery: Sendable {
  /// The id of the state (`pid`), a secret of the client.
  let id: String
  /// The id of the client's first socket, which it keeps.
  let socketID: String
  /// Returns what the client has missed so far. It is called in the step that connects the socket.
  /// Nil if that cannot be sent again any more; then the client has to come again.
  let missed: @Sendable () -> MissedEvents?
}

/// The events that a client has missed.
public struct MissedEvents: Sendable {
  /// The most events, and the most bytes of them: less than what may wait for a client.
  static let maximum = 800
  static let maximumBytes = 768 << 10
  /// Nothing, for a new client.
  static let none = MissedEvents([], through: .start)

  /// In order; each has an offset.
  let events: [RoomEvent]
  /// All events up to this offset are among them, or known to the client.
  let through: EventOffset

  init(_ events: [RoomEvent], through offset: EventOffset) {
    self.events = events
    through = offset
  }
}

/// The payload of an event, with its attachments: `{"_placeholder":true,"num":N}` stands for
/// attachment N.
public struct SocketPayload: Sendable {
  /// The arguments.
  public var arguments: [JSONValue]
  /// The attachments.
  public var attachments: [[UInt8]]

  /// Makes a payload.
  public init(_ arguments: [JSONValue], attachments: [[UInt8]] = []) {
    self.arguments = arguments
    self.attachments = attachments
  }
}

/// The handler of sockets. The calls for one session arrive one after the other, in the order in
/// which the client sent the packets.
///
/// It is an object: every client and every step of a client refers to it.
public protocol SocketApplication: AnyObject, Sendable {
  /// Decides whether a socket may connect. `query` is the query of the handshake, `auth` the
  /// payload of CONNECT. `disconnected` is called once for every admitted socket, even if its
  /// client is gone by then.
  func admit(_ socket: SocketID, query: [(name: String, value: String)], auth: JSONValue) async -> SocketAdmission
  /// The socket is connected and can receive events.
  func connected(_ socket: SocketID, auth: JSONValue) async
  /// Handles an event. The result is the acknowledgement, if the client asked for one.
  func event(_ name: String, _ payload: SocketPayload, from socket: SocketID) async -> SocketPayload
  /// Handles an event with an unreadable payload. The result is the acknowledgement, if the client
  /// asked for one.
  func unreadable(_ reason: String, from socket: SocketID) async -> SocketPayload
  /// Handles the result of an event that the client wants no acknowledgement for.
  func unacknowledged(_ answer: SocketPayload, from socket: SocketID) async
  /// The socket is disconnected.
  func disconnected(_ socket: SocketID, reason: String) async
}

extension SocketApplication {
  /// Returns an empty acknowledgement.
  public func unreadable(_ reason: String, from socket: SocketID) async -> SocketPayload { SocketPayload([]) }
  /// Does nothing.
  public func unacknowledged(_ answer: SocketPayload, from socket: SocketID) async {}
}

/// An event for all sockets in some rooms of a namespace, encoded once for all of them.
public struct RoomEvent: Sendable {
  let rooms: [String]
  let namespace: String
  let message: EncodedMessage
  /// The place among all events; nil for one that nobody receives later.
  var offset: EventOffset?
  /// Whether clients that missed it receive it later.
  var isKept = true

  /// Encodes an event with one argument. A socket in several of the rooms receives it once for
  /// each.
  public init(_ name: String, _ argument: JSONValue, rooms: [String], namespace: String = "/") {
    self.rooms = rooms
    self.namespace = namespace
    message = EncodedMessage(SocketIOPacket(.event, namespace: namespace, data: .array([.string(name), argument])))
  }
}

/// A Socket.IO server, protocol 5 over Engine.IO 4.
///
/// ```swift
/// let sockets = SocketIOServer<Echo>(environment, options: EngineIOOptions(), namespaces: ["/"])
/// let routes = sockets.routes(path: "/socket.io/", for: Echo(sockets))
/// await sockets.emit([RoomEvent("news", "hello", rooms: ["everybody"])])
/// ```
public final class SocketIOServer<Application: SocketApplication>: Sendable {
  private let engine: EngineIOServer<SocketIOLayer<Application>>

  /// Makes a server. A client that connects to a namespace that is not in `namespaces` is refused.
  public init(_ environment: Environment, options: EngineIOOptions, namespaces: [String]) {
    engine = EngineIOServer(
      environment, options,
      layer: SocketIOLayer(environment, namespaces: namespaces, planted: options.planted))
  }

  /// The routes that open sockets of `application` at `path`.
  public func routes(path: String, for application: Application) -> [Route] {
    EngineIORoutes.table(engine, path: path, for: application)
  }

  /// Sends an event to a socket. Does nothing when the socket is gone.
  public func emit(_ name: String, _ payload: SocketPayload, to socket: SocketID) async {
    await engine.perform { $0.layer.emit(name, payload, to: socket, on: $0) }
  }

  /// Emits events to rooms. Every socket receives them in this order.
  public func emit(_ events: [RoomEvent]) async {
    await engine.perform { engine in for event in events { engine.layer.emit(event, on: engine) } }
  }

  /// Disconnects sockets, and ends sessions without other sockets.
  public func disconnect(_ sockets: [SocketID], reason: String) async {
    await engine.perform { engine in
      for socket in sockets { engine.layer.disconnect(socket, reason, on: engine) }
    }
  }

  /// Ends all sessions.
  public func close() async { await engine.close() }
}

/// The routes of an Engine.IO server.
enum EngineIORoutes {
  static func table<Layer: EngineIOLayer>(
    _ engine: EngineIOServer<Layer>, path: String, for application: Layer.Application
  ) -> [Route] {
    let failure = Schema.object([.init("code", .integer()), .init("message", .string())])
    // The protocol answers wrong methods itself, with 400.
    return ["GET", "POST", "PUT", "DELETE", "PATCH"].map { method in
      Route(
        method, path, "Engine.IO 4",
        responses: [
          .init(200, "A payload", .string(), contentType: "text/plain; charset=UTF-8"),
          .init(400, "The protocol does not allow it", failure), .init(503, "Too many sessions", failure),
        ]
      ) { await engine.handle($0, for: application) }
    }
  }
}
