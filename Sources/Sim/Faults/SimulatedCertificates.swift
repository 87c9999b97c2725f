import Environment
import Simulation
import System

/// The certificates of a simulated world with TLS: an authority, and a certificate of each service.
///
/// They are files of the nodes, so they survive crashes. Handshakes, keys and expiry are those of
/// OpenSSL, with the entropy and the clocks of the nodes.
final class SimulatedCertificates: @unchecked Sendable {
  // Used on the thread of its world only.

  /// How long a certificate is valid if no fault says otherwise. No clock of a scenario is as
  /// wrong.
  static let lifetime: Duration = .seconds(8000 * 86_400)

  private let maker: CertificateMaker
  private let entropy: SimEntropy
  private let peers: [SocketAddress: SecurePeer]
  private var nodes: [String: Certificates] = [:]

  /// Makes the certificates of `services` at the beginning of a run, in which nodes reach `peers`.
  init(_ services: [String], _ peers: [SocketAddress: SecurePeer], seed: UInt64) throws(TLSError) {
    self.peers = peers
    entropy = SimEntropy(seed: seed, node: "certificates", boot: 1)
    let now = ClockSetting.epoch
    maker = try CertificateMaker(
      authority: "simulated", from: now - Self.lifetime, to: now + Self.lifetime, entropy: entropy)
    for name in services {
      var contents = try trusted()
      contents.pairs = [try pair(of: name, from: now - Self.lifetime, to: now + Self.lifetime)]
      nodes[name] = try Certificates(contents)
    }
  }

  private func trusted() throws(TLSError) -> Certificates.Contents {
    var contents = Certificates.Contents()
    contents.authorities = [maker.authority]
    return contents
  }

  private func pair(of name: String, from start: Timestamp, to end: Timestamp) throws(TLSError) -> CertificatePair {
    try maker.pair(for: [name], from: start, to: end, entropy: entropy)
  }

  /// The environment of a node with its network inside TLS.
  func secure(_ environment: Environment) throws -> Environment {
    let certificates = try nodes[environment.node] ?? Certificates(try trusted())
    return environment.with(
      network: SecureNetwork(environment, certificates: certificates, peers: peers))
  }

  /// Gives a service a new certificate that expires at `end`, as an operator does. Returns false
  /// for a node without a certificate.
  @discardableResult
  func renew(_ name: String, expiringAt end: Timestamp) -> Bool {
    guard let certificates = nodes[name] else { return false }
    var contents = certificates.contents
    do throws(TLSError) {
      contents.pairs = [try pair(of: name, from: ClockSetting.epoch - Self.lifetime, to: end)]
      try certificates.replace(with: contents)
    } catch { fatalError("a certificate of a simulation is refused: \(error)") }
    return true
  }
}

extension Timestamp {
  fileprivate static func - (time: Timestamp, duration: Duration) -> Timestamp {
    time + Duration.nanoseconds(-duration.nanoseconds)
  }
}
