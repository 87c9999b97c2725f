/// A connection, as somebody who looks at the whole world sees it.
public struct ConnectionView: Sendable {
  /// One direction.
  public struct Direction: Sendable {
    /// The bytes that are under way, or held back by a partition.
    public let underWay: Int
    /// The bytes that have arrived and were not read.
    public let unread: Int
    /// "open", "ended" or "reset", as the reader knows it.
    public let ending: String
  }

  /// The number of the connection.
  public let id: Int
  /// The node that has connected, and the address that it has connected to.
  public let from: String, to: String
  /// From the client to the server.
  public let sent: Direction
  /// From the server to the client.
  public let received: Direction
}

extension World {
  /// The jobs that may run next, by their places. Empty unless the run is watched.
  public var runnable: [RunnableJob] { scheduler.runnable }

  /// The connections that not both ends have closed, in the order of their numbers.
  public var connections: [ConnectionView] { fabric.open.map(\.view) }

  /// Calls `action` once when `step` jobs have run, with the place of the job that goes next. The
  /// run has to be watched.
  public func onPick(after step: Int, _ action: @escaping (Int) -> Void) {
    scheduler.watch?.step = step
    scheduler.watch?.onPick = action
  }
}

extension SimConnection {
  /// Seen from the client, whose end this is.
  fileprivate var view: ConnectionView {
    ConnectionView(id: id, from: outgoing.from.name, to: "\(peer)", sent: outgoing.view, received: incoming.view)
  }
}

extension Pipe {
  fileprivate var view: ConnectionView.Direction {
    .init(underWay: underWay, unread: arrived.count, ending: "\(ending)")
  }
}
