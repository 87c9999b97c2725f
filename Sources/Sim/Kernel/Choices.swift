import System

/// The one source of everything undetermined in a run: which job runs next, how long a packet takes, which fault strikes.
///
/// Each component draws from a stream of its own, named for it and derived from (seed, name), so that a new draw in one
/// place shifts no other. All draws land in one hash, and in one recorded sequence when somebody wants to replay them.
public final class Choices {
  /// One draw: `value` was chosen below `bound` by the stream whose name hashes to `stream`.
  public struct Choice: Hashable, Sendable {
    /// The stream, by the hash of its name.
    public let stream: UInt32
    /// The bound of the draw.
    public let bound: UInt32
    /// The number below `bound` that was drawn.
    public let value: UInt32
  }

  /// The seed that all streams derive from.
  public let seed: UInt64
  /// How many choices were made.
  public private(set) var count = 0
  /// The choices made so far, in order, when recording is on.
  public private(set) var recorded: [Choice] = []
  private let recording: Bool
  let hash: RunHash

  init(seed: UInt64, hash: RunHash, recording: Bool = false) {
    self.seed = seed
    self.hash = hash
    self.recording = recording
  }

  /// The stream of `name`. Two streams of one name draw the same values: give each component its own name.
  public func stream(_ name: String) -> ChoiceStream {
    let id = FNV.hash(name.utf8)
    return ChoiceStream(
      id: UInt32(truncatingIfNeeded: id), random: SplitMix64(state: SplitMix64.mix(seed ^ id)), of: self)
  }

  func note(_ stream: UInt32, bound: UInt32, value: UInt32) {
    count += 1
    hash.mix(UInt64(stream) << 32 | UInt64(value))
    if recording { recorded.append(Choice(stream: stream, bound: bound, value: value)) }
  }
}

/// The choices of one component. See `Choices`.
public final class ChoiceStream {
  private let id: UInt32
  private var random: SplitMix64
  private let choices: Choices

  fileprivate init(id: UInt32, random: SplitMix64, of choices: Choices) {
    self.id = id
    self.random = random
    self.choices = choices
  }

  /// A number from 0 to `bound` - 1. A bound of 1 is no choice: nothing is drawn, hashed or recorded.
  public func choose(_ bound: Int) -> Int {
    guard bound > 1 else { return 0 }
    let value = UInt32(random.next().multipliedFullWidth(by: UInt64(bound)).high)
    choices.note(id, bound: UInt32(bound), value: value)
    return Int(value)
  }

  /// True with probability `probability`, to a millionth. 0 and 1 (or beyond) are no choice.
  public func chance(_ probability: Double) -> Bool {
    guard probability > 0 else { return false }
    guard probability < 1 else { return true }
    return Double(choose(1_000_000)) < probability * 1_000_000
  }

  /// A duration between the ends of `range`, to a microsecond.
  public func duration(_ range: ClosedRange<Duration>) -> Duration {
    let low = range.lowerBound.nanoseconds
    let span = (range.upperBound.nanoseconds - low) / 1000
    return .nanoseconds(low + Int64(choose(Int(min(span, Int64(UInt32.max) - 1)) + 1)) * 1000)
  }

  /// An exponentially distributed duration with the given mean, at most eight times the mean: think times.
  public func exponential(mean: Duration) -> Duration {
    let u = (Double(choose(1_000_000)) + 0.5) / 1_000_000
    return .nanoseconds(Int64(Double(mean.nanoseconds) * min(8, -naturalLogarithm(u))))
  }

  /// One of `items`, which must not be empty.
  public func pick<Items: RandomAccessCollection>(_ items: Items) -> Items.Element {
    require(!items.isEmpty, "a choice among nothing")
    return items[items.index(items.startIndex, offsetBy: choose(items.count))]
  }

  /// An index, with a chance proportional to its weight.
  public func weighted(_ weights: [Int]) -> Int {
    var left = choose(weights.reduce(0, +))
    for (index, weight) in weights.enumerated() {
      if left < weight { return index }
      left -= weight
    }
    return weights.count - 1
  }
}

/// ln(x) for x in (0, 1], by the series of atanh on the mantissa; libm's last bit may differ between machines, ours not.
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
struct SplitMix64 {
  var state: UInt64

  mutating func next() -> UInt64 {
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

/// Fowler–Noll–Vo 1a, 64 bits: for names of streams and for the bytes of events.
enum FNV {
  static func hash(_ bytes: some Sequence<UInt8>) -> UInt64 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    return hash
  }

  /// The same idea over words of eight bytes, for what is long.
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

/// The hash over everything that happened in a run, in order. Two runs that differ anywhere differ here.
public final class RunHash {
  /// The hash so far.
  public private(set) var value: UInt64 = 0x6A09_E667_F3BC_C908

  func mix(_ word: UInt64) {
    value = (value ^ word) &* 0x9FB2_1C65_1E98_DF25
    value ^= value >> 32
  }
}
