import COpenSSL
import Environment

/// The random bytes that OpenSSL uses: those of the node on whose behalf it is called.
///
/// OpenSSL asks one function of the process for random bytes. Ours takes them from the entropy that
/// the calling thread lends, and from OpenSSL's own generator if it lends none. So the keys and
/// nonces of a simulated node are a function of the seed.
final class Randomness: Sendable {
  private let entropy: any Entropy

  init(_ entropy: any Entropy) { self.entropy = entropy }

  /// Calls `body`, during which OpenSSL takes its random bytes from this entropy. Calls nest.
  func lend<R, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
    let key = Self.slot.key
    let previous = CRYPTO_THREAD_get_local(key)
    let isLent = CRYPTO_THREAD_set_local(key, Unmanaged.passUnretained(self).toOpaque())
    require(isLent == 1, "OpenSSL has no memory for the entropy of a thread")
    defer { CRYPTO_THREAD_set_local(key, previous) }
    return try body()
  }

  /// The slot in which each thread keeps what it lends. Unchecked, since the key is set once, and
  /// OpenSSL gives each thread its own value.
  private struct Slot: @unchecked Sendable {
    let key: UnsafeMutablePointer<CRYPTO_THREAD_LOCAL>

    /// Installs the function that OpenSSL asks.
    init() {
      key = .allocate(capacity: 1)
      key.initialize(to: 0)
      require(CRYPTO_THREAD_init_local(key, nil) == 1, "OpenSSL has no slot for each thread")
      let bytes: @convention(c) (UnsafeMutablePointer<UInt8>?, Int32) -> Int32 = { buffer, count in
        guard let buffer, count > 0 else { return count == 0 ? 1 : 0 }
        guard let lent = CRYPTO_THREAD_get_local(Randomness.slot.key) else {
          return parley_default_random(buffer, count)
        }
        Unmanaged<Randomness>.fromOpaque(lent).takeUnretainedValue().entropy.fill(
          UnsafeMutableRawBufferPointer(start: buffer, count: Int(count)))
        return 1
      }
      require(parley_set_random(bytes, { 1 }) == 1, "OpenSSL refused a source of random bytes")
    }
  }

  private static let slot = Slot()
}
