/// The protocol above Engine.IO, such as Socket.IO.
///
/// The server calls its layer on its own actor. No method suspends, so a layer sees the packets of
/// a session in order and needs no lock.
protocol EngineIOLayer: AnyObject, SendableMetatype {
  /// The handler of sessions. The route that opens a session provides it: the server and its layer
  /// do not hold a handler themselves, which would be a cycle.
  associatedtype Application: Sendable

  /// A session was opened for `application`.
  func opened(
    _ session: EngineIOSession, for application: Application, on engine: isolated EngineIOServer<Self>)
  /// A message arrived.
  func received(
    _ message: EngineIOMessage, from session: EngineIOSession, on engine: isolated EngineIOServer<Self>)
  /// A session ended. Called once for each session.
  func closed(_ session: EngineIOSession, reason: String, on engine: isolated EngineIOServer<Self>)
}
