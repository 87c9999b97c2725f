/// The protocol above Engine.IO, such as Socket.IO.
///
/// The server calls its layer on its own actor. No method suspends, so a layer sees the packets of a session in
/// their order and needs no lock.
protocol EngineIOLayer: AnyObject, SendableMetatype {
  /// The handler of the sessions. The route that opens a session names it, so that neither the server nor
  /// the layer holds it when there is no session.
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
