/// Random bytes, fit for keys and salts in production; a function of the seed and the node's name in the simulator.
public protocol Entropy: Sendable {
  /// Fills `buffer`.
  func fill(_ buffer: UnsafeMutableRawBufferPointer)
}

extension Entropy {
  /// `count` random bytes.
  @inline(never)
  public func bytes(_ count: Int) -> [UInt8] {
    withUnsafeTemporaryAllocation(byteCount: count, alignment: 1) { buffer in
      fill(buffer)
      return Array(buffer)
    }
  }

  /// A uniformly random number below `bound`, by rejection (no modulo bias).
  public func below(_ bound: UInt64) -> UInt64 {
    require(bound > 0, "a random number below 0 was asked for")
    let limit = UInt64.max - UInt64.max % bound
    while true {
      var raw: UInt64 = 0
      withUnsafeMutableBytes(of: &raw) { fill($0) }
      if raw < limit { return raw % bound }
    }
  }
}
