import Environment

/// The events that were emitted lately, in order, and for each room a chain through its events: a
/// room's missed events are found without a look at those of others.
///
/// The log holds all events after its *floor*. It has a budget of bytes; the oldest events go
/// first.
struct EventLog {
  /// Longer than the time for which a client can have missed an event: it answers heartbeats for as
  /// long as it is connected (45 s with the contract's options), and comes back within 2 minutes.
  static let span: Duration = .seconds(180)
  /// The usual budget.
  static let standardBytes = 32 << 20

  private struct Entry {
    let event: RoomEvent
    let emittedAt: Instant
    /// For each room of the event, the number of the room's event before it; `none` without one.
    let previous: [Int64]
    let size: Int
  }

  private static let none: Int64 = -1
  /// The size of an entry without its frame and its rooms, in bytes.
  private static let entrySize = 160
  private static let roomSize = 32

  private let maximumBytes: Int
  private var entries = FIFO<Entry>()
  /// The number of the first entry. Those before it are gone.
  private var first: Int64 = 0
  /// The number of each room's last entry.
  private var last: [String: Int64] = [:]
  /// The size of all entries.
  private(set) var bytes = 0
  /// All events after this one are here.
  private(set) var floor: EventOffset
  /// A time after which every event that was emitted is here; nil if nothing that anybody may have
  /// missed was emitted before the floor.
  private var floorTime: Instant?
  /// The last position whose events are here.
  private(set) var through: Int64

  /// A log of what is emitted after `position`, from `now` on.
  init(after position: Int64, at now: Instant?, maximumBytes: Int = EventLog.standardBytes) {
    self.maximumBytes = maximumBytes
    through = position
    floor = .end(of: position)
    floorTime = now
  }

  /// Whether older events would not soon go again.
  var isRoomy: Bool { bytes < maximumBytes / 2 }
  /// The number of events.
  var count: Int { entries.count }

  /// Adds the events that were emitted up to `position`. They have higher offsets than all before.
  mutating func append(_ events: [RoomEvent], through position: Int64, at now: Instant) {
    for event in events where event.offset != nil && event.isKept { append(event, at: now) }
    through = max(through, position)
    trim()
  }

  private mutating func trim() { while bytes > maximumBytes, let entry = entries.popFirst() { forget(entry) } }

  private mutating func append(_ event: RoomEvent, at time: Instant) {
    let number = first + Int64(count)
    var previous: [Int64] = []
    previous.reserveCapacity(event.rooms.count)
    for room in event.rooms {
      let before = last.updateValue(number, forKey: room) ?? Self.none
      // A room that is named twice has the event once.
      previous.append(before == number ? Self.none : before)
    }
    let size = event.message.frame.count + Self.entrySize + event.rooms.count * Self.roomSize
    entries.append(Entry(event: event, emittedAt: time, previous: previous, size: size))
    bytes += size
  }

  private mutating func forget(_ entry: Entry) {
    for room in entry.event.rooms where last[room] == first { last[room] = nil }
    bytes -= entry.size
    floor = entry.event.offset!
    floorTime = entry.emittedAt
    first += 1
  }

  /// The log with older events in front of its own: all after `position` up to its floor. With
  /// `isWhole`, nobody may have missed an event before them.
  func extended(by older: [RoomEvent], after position: Int64, isWhole: Bool, at now: Instant) -> EventLog {
    var log = EventLog(after: position, at: isWhole ? nil : now, maximumBytes: maximumBytes)
    for event in older where event.isKept && event.offset! > log.floor && event.offset! <= floor {
      log.append(event, at: now)
    }
    for place in 0..<entries.count { log.append(entries[place].event, at: entries[place].emittedAt) }
    log.through = through
    log.trim()
    return log
  }

  /// Whether everything is here that a client may have missed whose last event is at `offset`.
  ///
  /// A client that has received nothing for longer than the span has missed nothing from before it.
  func holds(after offset: EventOffset, at now: Instant) -> Bool {
    guard offset < floor, let floorTime else { return true }
    return now - floorTime >= Self.span
  }

  /// The events of a room after `offset`, in order.
  func events(in room: String, after offset: EventOffset) -> [RoomEvent] {
    var found: [RoomEvent] = []
    var number = last[room] ?? Self.none
    while number >= first {
      let entry = entries[Int(number - first)]
      guard entry.event.offset! > offset else { break }
      found.append(entry.event)
      number = entry.previous[entry.event.rooms.firstIndex(of: room)!]
    }
    return found.reversed()
  }
}
