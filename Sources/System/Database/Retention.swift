import Environment

/// How long a service keeps things that nobody needs any more.
public struct Retention: Hashable, Sendable {
  /// The shortest and the longest time between two passes.
  private static let (shortest, longest): (Duration, Duration) = (.milliseconds(500), .seconds(60))

  /// The time for which a thing is kept; nil for good.
  public var age: Duration?
  /// The number of things that are kept, the latest ones; nil for any number.
  public var number: Int?

  /// Keeps all things.
  public init(age: Duration? = nil, number: Int? = nil) {
    self.age = age
    self.number = number
  }

  /// Whether some things may go.
  var isLimited: Bool { age != nil || number != nil }

  /// The time between two passes that remove what is not kept, ten in a short age; nil if all is
  /// kept.
  var interval: Duration? {
    isLimited ? max(Self.shortest, min(Self.longest, (age ?? Self.longest) / 10)) : nil
  }
}
