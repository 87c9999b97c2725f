import Environment

/// The random bytes of a node: a function of seed, node name and boot, so that another node does
/// not change them and a restart does not repeat them. They are not choices, since shrinking must
/// not change identifiers.
package final class SimEntropy: Entropy, @unchecked Sendable {
  private var random: SplitMix64

  package init(seed: UInt64, node: String, boot: Int) {
    random = SplitMix64(state: SplitMix64.mix(seed ^ FNV.hash("entropy/\(node)/\(boot)".utf8)))
  }

  package func fill(_ buffer: UnsafeMutableRawBufferPointer) {
    var word: UInt64 = 0
    for index in buffer.indices {
      if index % 8 == 0 { word = random.next() }
      buffer[index] = UInt8(truncatingIfNeeded: word)
      word >>= 8
    }
  }
}
