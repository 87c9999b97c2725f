import Testing

@testable import System

/// The state machine of a queue against a model that keeps one sorted array.
@Suite("The contents of a queue")
struct QueueContentsTests {
  /// The same promises, written again without any of the structures.
  private struct Model {
    let limits: QueueLimits
    var entries: [QueueEntry] = []
    var hasReturns = false

    var count: Int { entries.count }
    var bytes: Int { entries.reduce(0) { $0 + Int($1.bodyBytes) } }
    var isOver: Bool { limits.overflow == .dropHead && (count > limits.maximumLength || bytes > limits.maximumBytes) }

    mutating func put(_ entry: QueueEntry, returns: Bool) {
      hasReturns = returns
      entries.append(entry)
      entries.sort { ($1.priority, $0.id) < ($0.priority, $1.id) }
    }

    func admits(_ size: Int) -> Bool {
      limits.overflow == .dropHead || count + 1 <= limits.maximumLength && bytes + size <= limits.maximumBytes
    }

    func verdict(_ now: Int64) -> QueueVerdict {
      guard let first = entries.first else { return .nothing }
      if hasReturns, isOver { return .drop(.tooMany) }
      if first.expires != 0, first.expires <= now {
        return first.isInstant ? .deliver(otherwise: .expired) : .drop(.expired)
      }
      return .deliver(otherwise: isOver ? .tooMany : nil)
    }
  }

  private struct Draw {
    var state: UInt64
    mutating func below(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
  }

  private static func limits(_ draw: inout Draw) -> QueueLimits {
    QueueLimits(
      maximumLength: draw.below(2) == 0 ? nil : draw.below(12), maximumBytes: draw.below(2) == 0 ? nil : draw.below(60),
      overflow: [.dropHead, .rejectPublish, .rejectPublishDeadLetter][draw.below(3)],
      highestPriority: [0, 0, 1, 3, 64, 255][draw.below(6)])
  }

  /// Compares a machine with the model over a random run. `spoil` plants a bug in what the machine
  /// is told.
  private static func run(_ seed: UInt64, spoil: (QueueEntry) -> QueueEntry? = { $0 }) -> String? {
    var draw = Draw(state: seed)
    let limits = Self.limits(&draw)
    var contents = QueueContents(limits)
    var model = Model(limits: limits)
    var held: [QueueEntry] = []
    var (now, id) = (Int64(1), Int64(0))
    for step in 0..<300 {
      now += Int64(draw.below(3))
      switch draw.below(5) {
      case 0, 1:
        let size = draw.below(20)
        guard contents.admits(bodyBytes: size) == model.admits(size) else { return "step \(step): admission" }
        guard model.admits(size) else { continue }
        id += 1
        var entry = QueueEntry(
          id: id, message: nil, expires: draw.below(3) == 0 ? now + Int64(draw.below(10)) : 0, isDurable: false,
          bodyBytes: UInt32(size), priority: contents.priority(of: UInt8(draw.below(256))))
        entry.isInstant = entry.expires == now && model.count == 0
        model.put(entry, returns: false)
        if let told = spoil(entry) { contents.append(told) }
      case 2 where !held.isEmpty:
        let entry = held.remove(at: draw.below(held.count))
        model.put(entry, returns: true)
        contents.restore(entry)
      default:
        let verdict = contents.verdict(at: now)
        guard verdict == model.verdict(now) else { return "step \(step): \(verdict), \(model.verdict(now))" }
        let removed = contents.removeFirst()
        let expected = model.entries.isEmpty ? nil : model.entries.removeFirst()
        guard removed?.id == expected?.id else { return "step \(step): \(removed?.id ?? 0), \(expected?.id ?? 0)" }
        if case .deliver = verdict, let removed, draw.below(2) == 0 { held.append(removed) }
      }
      guard contents.count == model.count, contents.bytes == model.bytes, contents.first?.id == model.entries.first?.id
      else { return "step \(step): sizes" }
      let expiry = model.entries.first.flatMap { $0.expires == 0 ? nil : $0.expires }
      guard contents.expiry == expiry else { return "step \(step): expiry" }
    }
    return nil
  }

  @Test("3,000 random runs are as the model has them")
  func model() {
    for seed in 1...3000 as ClosedRange<UInt64> { #expect(Self.run(seed) == nil, "seed \(seed)") }
  }

  @Test("the comparison detects a machine that mixes priorities, sizes, times, or loses a message")
  func spoiled() {
    let spoils: [@Sendable (QueueEntry) -> QueueEntry?] = [
      { Self.copy($0, priority: 0) }, { Self.copy($0, bodyBytes: $0.bodyBytes + 1) }, { Self.copy($0, expires: 0) },
      { $0.id % 7 == 0 ? nil : $0 },
    ]
    for (number, spoil) in spoils.enumerated() {
      let found = (1...200 as ClosedRange<UInt64>).contains { Self.run($0, spoil: spoil) != nil }
      #expect(found, "spoil \(number)")
    }
  }

  private static func copy(
    _ entry: QueueEntry, expires: Int64? = nil, bodyBytes: UInt32? = nil, priority: UInt8? = nil
  ) -> QueueEntry {
    QueueEntry(
      id: entry.id, message: nil, expires: expires ?? entry.expires, isDurable: false,
      bodyBytes: bodyBytes ?? entry.bodyBytes, priority: priority ?? entry.priority)
  }

  @Test("an entry has 32 bytes, since a million of them are in memory at once")
  func size() {
    #expect(MemoryLayout<QueueEntry?>.stride == 32)
  }
}
