@testable import Environment
import Testing

@testable import Simulation
@testable import System

/// The log of events for clients that recover, against a list that keeps everything.
@Suite("The log of emitted events")
struct EventLogTests {
  /// All events that were emitted, and what a room has missed of them.
  private struct Model {
    var events: [RoomEvent] = []

    func missed(_ room: String, after offset: EventOffset) -> [EventOffset] {
      events.filter { $0.rooms.contains(room) && $0.isKept && $0.offset! > offset }.map { $0.offset! }
    }
  }

  private static func event(_ position: Int64, _ part: Int64 = 0, rooms: [String], isKept: Bool = true) -> RoomEvent {
    var event = RoomEvent("e", .string("\(position)-\(part)"), rooms: rooms)
    event.offset = EventOffset(position: position, part: part)
    event.isKept = isKept
    return event
  }

  private static func time(_ seconds: Int64) -> Instant { Instant(nanoseconds: seconds * 1_000_000_000) }

  @Test("a room's missed events are those of a list that keeps all", arguments: 1...40 as ClosedRange<UInt64>)
  func asInModel(seed: UInt64) {
    let stream = Choices(seed: seed, hash: RunHash()).stream("events")
    let rooms = (0..<1 + stream.choose(6)).map { "\($0)" }
    var log = EventLog(after: 0, at: Self.time(0), maximumBytes: stream.pick([2000, 8000, 1 << 20]))
    var model = Model()
    for position in 1...Int64(1 + stream.choose(200)) {
      let batch = (0..<stream.choose(3)).map { part in
        // Also twice the same room, and none.
        let chosen = (0..<stream.choose(4)).map { _ in stream.pick(rooms) }
        return Self.event(position, Int64(part), rooms: chosen, isKept: stream.chance(0.9))
      }
      log.append(batch, through: position, at: Self.time(position))
      model.events += batch
      #expect(log.through == position)
      let asked = EventOffset(position: Int64(stream.choose(Int(position) + 1)), part: Int64(stream.choose(3)))
      let offset = max(asked, log.floor)
      for room in rooms + ["nobody's"] {
        #expect(log.events(in: room, after: offset).map { $0.offset! } == model.missed(room, after: offset))
      }
    }
    for event in log.events(in: rooms[0], after: log.floor) { #expect(event.rooms.contains(rooms[0])) }
  }

  @Test("the oldest events go when there are too many bytes, and the log knows what it lacks")
  func budget() {
    var log = EventLog(after: 0, at: Self.time(0), maximumBytes: 3000)
    for position in 1...100 as ClosedRange<Int64> {
      log.append([Self.event(position, rooms: ["a"])], through: position, at: Self.time(position))
    }
    #expect(log.bytes <= 3000 && log.count > 3 && log.count < 30)
    let floor = log.floor
    #expect(log.holds(after: floor, at: Self.time(100)))
    let older = EventOffset(position: floor.position - 1, part: 0)
    #expect(!log.holds(after: older, at: Self.time(100)))
    // Whoever has received nothing for so long has missed nothing.
    #expect(log.holds(after: older, at: Self.time(floor.position) + EventLog.span))
    #expect(log.events(in: "a", after: floor).count == log.count)
  }

  @Test("older events come in front, each once")
  func extended() {
    var log = EventLog(after: 10, at: Self.time(0))
    for position in 11...14 as ClosedRange<Int64> {
      log.append([Self.event(position, rooms: ["a", "b"])], through: position, at: Self.time(1))
    }
    let older = (6...12 as ClosedRange<Int64>).map { Self.event($0, rooms: $0 % 2 == 0 ? ["a"] : ["b"]) }
    #expect(!log.holds(after: .end(of: 7), at: Self.time(2)))
    let partly = log.extended(by: older, after: 5, isWhole: false, at: Self.time(2))
    #expect(partly.holds(after: .end(of: 7), at: Self.time(2)))
    #expect(!partly.holds(after: .end(of: 4), at: Self.time(2)))
    #expect(partly.events(in: "a", after: .end(of: 7)).map { $0.offset!.position } == [8, 10, 11, 12, 13, 14])
    #expect(partly.through == 14)
    let later = log.extended(by: older, after: 8, isWhole: false, at: Self.time(2))
    #expect(later.events(in: "a", after: .start).map { $0.offset!.position } == [10, 11, 12, 13, 14])
    let whole = log.extended(by: older, after: 5, isWhole: true, at: Self.time(2))
    #expect(whole.holds(after: .start, at: Self.time(2)))
    #expect(whole.events(in: "b", after: .start).map { $0.offset!.position } == [7, 9, 11, 12, 13, 14])
  }

  @Test(
    "an offset is two numbers, and anything else is none",
    arguments: [
      ("0-0", true), ("12-3", true), ("9223372036854775807-0", true), ("", false), ("-", false), ("1", false),
      ("1-", false), ("-1-0", false), ("1-2-3", false), ("+1-0", false), ("1 -0", false), ("١-0", false),
      ("9223372036854775808-0", false), (String(repeating: "0", count: 40) + "-0", false),
    ])
  func offsets(text: String, isValid: Bool) {
    #expect((EventOffset(text) != nil) == isValid)
    if isValid { #expect(EventOffset(text)?.text == text) }
  }

  @Test("an event with its offset is the event with one more argument")
  func encoded() {
    for size in [0, 80, 110, 200, 65_500, 70_000] {
      let event = RoomEvent("e", ["text": .string(String(repeating: "x", count: size))], rooms: [])
      let numbered = EncodedMessage(event.message, offset: EventOffset(position: 12, part: 3))
      let text = String(decoding: event.message.packet, as: UTF8.self)
      #expect(String(decoding: numbered.packet, as: UTF8.self) == text.dropLast() + ",\"12-3\"]")
      var parser = WebSocketParser(role: .client, limit: 1 << 20)
      parser.receive(numbered.frame)
      guard case .text(let bytes)? = try? parser.next() else { return #expect(Bool(false), "no frame") }
      #expect(bytes[...] == numbered.packet)
    }
  }

  @Test("a position is old when it was emitted long ago while the node ran")
  func marks() {
    var marks = PositionMarks()
    for second in stride(from: 0, through: 400, by: 5) as StrideThrough<Int64> {
      marks.note(Position(second), at: Self.time(second))
      let old = second - EventLog.span.components.seconds
      #expect(marks.old?.value == (old >= 0 ? old : nil))
    }
    // The node stands still for an hour. Its clients may have missed what it emitted before.
    for second in stride(from: 4000, through: 4175, by: 5) as StrideThrough<Int64> {
      marks.note(Position(500), at: Self.time(second))
      #expect(marks.old?.value == 220)
    }
    marks.note(Position(500), at: Self.time(4180))
    #expect(marks.old?.value == 500)
  }
}
