import Environment

/// Makes every decision of a run that is left open: which job runs next, how long a packet takes,
/// which fault strikes.
///
/// Each component draws from a stream of its own, derived from the seed and a name, so a new draw
/// in one place does not shift the draws of another. All draws are mixed into one hash. A run is
/// replayed by its seed. It is simplified by `ChoiceWindows`: draws outside of a stream's window
/// take their simplest value.
public final class Choices {
  /// The seed that all streams derive from.
  public let seed: UInt64
  /// The hash into which every draw is mixed.
  public let hash: RunHash
  private let windows: ChoiceWindows
  private var streams: [(name: String, drawn: Drawn)] = []

  /// The seed that choices derive from now.
  private var source: UInt64

  /// The generator of one stream, and the number of its draws.
  fileprivate final class Drawn {
    let id: UInt64
    var random: SplitMix64
    var count = 0

    init(_ id: UInt64, seed: UInt64) {
      self.id = id
      random = SplitMix64(state: SplitMix64.mix(seed ^ id))
    }
  }

  /// Creates the choices of a run. Draws are mixed into `hash`.
  public init(seed: UInt64, hash: RunHash, windows: ChoiceWindows = ChoiceWindows()) {
    self.seed = seed
    source = seed
    self.hash = hash
    self.windows = windows
  }

  /// Derives all later choices from another seed. See `Branch`.
  func reseed(_ seed: UInt64) {
    source = seed
    for (_, drawn) in streams { drawn.random = Drawn(drawn.id, seed: seed).random }
  }

  /// Returns the stream called `name`. Two streams of one name draw the same values, so each
  /// component needs its own name.
  public func stream(_ name: String) -> ChoiceStream {
    let drawn = Drawn(FNV.hash(name.utf8), seed: source)
    streams.append((name, drawn))
    return ChoiceStream(of: self, window: windows[name], drawn)
  }

  /// The number of draws of each stream that has made one, ordered by name.
  public var draws: [(stream: String, count: Int)] {
    streams.filter { $0.drawn.count > 0 }.map { ($0.name, $0.drawn.count) }.sorted { $0.0 < $1.0 }
  }

  func note(_ stream: UInt32, value: UInt32) {
    hash.mix(UInt64(stream) << 32 | UInt64(value))
  }
}

/// The draws of a run that are left to its seed: for each named stream, a range of draw numbers.
/// All other draws of that stream take their simplest value: the shortest time, no fault, the first
/// item. Streams that are not named are not restricted.
public struct ChoiceWindows: Hashable, Sendable {
  private var ranges: [String: Range<Int>] = [:]

  /// Restricts no stream.
  public init() {}

  /// The window of a stream, or nil if the stream is not restricted.
  public subscript(stream: String) -> Range<Int>? {
    get { ranges[stream] }
    set { ranges[stream] = newValue }
  }

  /// All windows, ordered by the names of their streams.
  public var all: [(stream: String, window: Range<Int>)] {
    ranges.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }
}

/// The choices of one component. See `Choices`.
public final class ChoiceStream {
  private let id: UInt32
  private let choices: Choices
  private let window: Range<Int>?
  private let drawn: Choices.Drawn

  fileprivate init(of choices: Choices, window: Range<Int>?, _ drawn: Choices.Drawn) {
    id = UInt32(truncatingIfNeeded: drawn.id)
    self.choices = choices
    self.window = window
    self.drawn = drawn
  }

  /// Returns a number from 0 to `bound` - 1. A `bound` of 1 draws nothing. `simplest` is the value
  /// outside of the stream's window.
  public func choose(_ bound: Int, simplest: Int = 0) -> Int {
    guard bound > 1 else { return 0 }
    var value = UInt32(drawn.random.next().multipliedFullWidth(by: UInt64(bound)).high)
    if let window, !window.contains(drawn.count) { value = UInt32(simplest) }
    drawn.count += 1
    choices.note(id, value: value)
    return Int(value)
  }

  /// Returns true with the given probability, to a millionth. Probabilities of 0 or less and 1 or
  /// more draw nothing.
  public func chance(_ probability: Double) -> Bool {
    guard probability > 0 else { return false }
    guard probability < 1 else { return true }
    return Double(choose(1_000_000, simplest: 999_999)) < probability * 1_000_000
  }

  /// Returns a duration in `range`, in steps of a microsecond.
  public func duration(_ range: ClosedRange<Duration>) -> Duration {
    let low = range.lowerBound.nanoseconds
    let span = (range.upperBound.nanoseconds - low) / 1000
    return .nanoseconds(low + Int64(choose(Int(min(span, Int64(UInt32.max) - 1)) + 1)) * 1000)
  }

  /// Returns an exponentially distributed duration, at most eight times its mean. Used for think
  /// times.
  public func exponential(mean: Duration) -> Duration {
    // −ln 0.367879 = 1: the simplest is the mean.
    let u = (Double(choose(1_000_000, simplest: 367_879)) + 0.5) / 1_000_000
    return .nanoseconds(Int64(Double(mean.nanoseconds) * min(8, -naturalLogarithm(u))))
  }

  /// Returns one of `items`, which must not be empty.
  public func pick<Items: RandomAccessCollection>(_ items: Items) -> Items.Element {
    require(!items.isEmpty, "a choice among nothing")
    return items[items.index(items.startIndex, offsetBy: choose(items.count))]
  }

  /// Returns one of `items`, or nil without a draw if there are none.
  public func pickAny<Items: RandomAccessCollection>(of items: Items) -> Items.Element? {
    items.isEmpty ? nil : pick(items)
  }

  /// Returns an index with a probability proportional to its weight.
  public func weighted(_ weights: [Int]) -> Int {
    var left = choose(weights.reduce(0, +))
    for (index, weight) in weights.enumerated() {
      if left < weight { return index }
      left -= weight
    }
    return weights.count - 1
  }
}

/// Returns ln(x) for x in (0, 1], by the series of atanh. The last bit of libm's result may differ
/// between machines; the last bit of this one does not.
func naturalLogarithm(_ x: Double) -> Double {
  let y = (x.significand - 1) / (x.significand + 1)
  var power = y
  var sum = 0.0
  for k in 0..<16 {
    sum += power / Double(2 * k + 1)
    power *= y * y
  }
  return 2 * sum + Double(x.exponent) * 0.693147180559945309
}

/// Steele, Lea, Flood: "Fast splittable pseudorandom number generators" (OOPSLA 2014).
public struct SplitMix64 {
  var state: UInt64

  /// Makes a generator. The same seed gives the same numbers.
  public init(state: UInt64) { self.state = state }

  /// The next number.
  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    return Self.mix(state)
  }

  static func mix(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

/// Fowler–Noll–Vo 1a with 64 bits, for the names of streams and the bytes of events.
enum FNV {
  static func hash(_ bytes: some Sequence<UInt8>) -> UInt64 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    return hash
  }

  /// A similar hash that takes eight bytes at a time, for long input.
  static func words(_ bytes: ArraySlice<UInt8>) -> UInt64 {
    bytes.withUnsafeBytes { bytes in
      var hash = 0xCBF2_9CE4_8422_2325 ^ UInt64(bytes.count)
      var index = 0
      while index + 8 <= bytes.count {
        let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self))
        hash = (hash ^ word) &* 0x9FB2_1C65_1E98_DF25
        hash ^= hash >> 29
        index += 8
      }
      while index < bytes.count {
        hash = (hash ^ UInt64(bytes[index])) &* 0x100_0000_01B3
        index += 1
      }
      return hash
    }
  }
}

/// Hashes everything that happens in a run, in order. Two runs that differ anywhere have different
/// hashes.
public final class RunHash {
  /// The hash so far.
  public private(set) var value: UInt64 = 0x6A09_E667_F3BC_C908

  /// False only to measure what hashing costs.
  let isOn: Bool

  /// Creates an empty hash. If `isOn` is false, it stays empty.
  public init(isOn: Bool = true) { self.isOn = isOn }

  func mix(_ word: UInt64) {
    guard isOn else { return }
    value = (value ^ word) &* 0x9FB2_1C65_1E98_DF25
    value ^= value >> 32
  }
}
