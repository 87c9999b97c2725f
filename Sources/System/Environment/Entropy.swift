/// A source of random bytes. In production they are fit for keys and salts; in the simulator they
/// are a function of the seed, the node's name and its boot.
public protocol Entropy: Sendable {
  /// Fills `buffer` with random bytes.
  func fill(_ buffer: UnsafeMutableRawBufferPointer)
}

extension Entropy {
  /// Returns `count` random bytes.
  public func bytes(_ count: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    bytes.withUnsafeMutableBytes { fill($0) }
    return bytes
  }

  /// Returns a random number from 0 up to but not including `bound`, which must be positive. The
  /// distribution is uniform: numbers that would cause a modulo bias are rejected.
  public func below(_ bound: UInt64) -> UInt64 {
    require(bound > 0, "the bound of a random number is 0")
    let limit = UInt64.max - UInt64.max % bound
    while true {
      var raw: UInt64 = 0
      withUnsafeMutableBytes(of: &raw) { fill($0) }
      if raw < limit { return raw % bound }
    }
  }
}
