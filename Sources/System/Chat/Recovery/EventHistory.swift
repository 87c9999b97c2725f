import Environment
import Synchronization

/// The log of this node's emitted events, for clients that recover. It is kept from the first such
/// client on.
///
/// `FanOut` writes. The log is read on the actor of the sockets, in the step that connects one. A
/// mutex guards it: the actors of a node run on one executor, so the mutex is free.
final class EventHistory: Sendable {
  private let log = Mutex<EventLog?>(nil)
  private let clock: any Clock

  init(_ clock: any Clock) { self.clock = clock }

  /// The floor of the log if it has room for older events; nil without one.
  var roomyFloor: EventOffset? { log.withLock { $0.flatMap { $0.isRoomy ? $0.floor : nil } } }

  /// Begins the log after `position`, unless it has begun.
  func begin(after position: Position) {
    let now = clock.now
    log.withLock { if $0 == nil { $0 = EventLog(after: position.value, at: now) } }
  }

  /// Ends the log: this node has missed events.
  func end() { log.withLock { $0 = nil } }

  /// Adds what is emitted up to `position`.
  func append(_ events: [RoomEvent], through position: Position) {
    let now = clock.now
    log.withLock { $0?.append(events, through: position.value, at: now) }
  }

  /// Adds the events from `position` to `floor`, unless the log begins elsewhere by now.
  func extend(by older: [RoomEvent], after position: Position, to floor: EventOffset, isWhole: Bool) {
    let now = clock.now
    log.withLock { log in
      guard let current = log, current.floor == floor else { return }
      log = current.extended(by: older, after: position.value, isWhole: isWhole, at: now)
    }
  }

  /// Whether everything is here that a client may have missed whose last event is at `offset`.
  func holds(after offset: EventOffset) -> Bool {
    let now = clock.now
    return log.withLock { $0?.holds(after: offset, at: now) ?? false }
  }

  /// What a client has missed whose last event is at `offset`; nil if it cannot be sent again.
  func missed(in room: String, after offset: EventOffset) -> MissedEvents? {
    let now = clock.now
    return log.withLock { log in
      guard let log, log.holds(after: offset, at: now) else { return nil }
      let events = log.events(in: room, after: offset)
      guard events.count <= MissedEvents.maximum,
        events.reduce(0, { $0 + $1.message.frame.count }) <= MissedEvents.maximumBytes
      else { return nil }
      return MissedEvents(events, through: max(offset, .end(of: log.through)))
    }
  }
}
