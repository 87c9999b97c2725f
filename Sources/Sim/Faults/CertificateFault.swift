import Environment
import Simulation
import System

/// A service gets a new certificate while it runs: `certificate: NODE`. With `lifetime` it expires
/// so soon, and the next one comes when the fault is undone.
struct CertificateFault: FaultKind {
  static let key = "certificate"
  static let moreKeys = ["lifetime"]
  static let lasts = true

  private let name: String
  private let lifetime: Duration?

  init(_ value: ScenarioValue, _ subject: ScenarioValue, among nodes: NodeNames) throws(ScenarioError) {
    name = try nodes.name(subject)
    lifetime = try value["lifetime"]?.duration(Bounds.pause)
  }

  var node: String? { name }
  var label: String { "certificate \(name)" }
  var sentence: String {
    "\(name) gets a new certificate" + (lifetime.map { ", which expires after \(DurationText.format($0))" } ?? "")
  }

  func strike(_ stage: FaultStage) -> (() -> Void)? {
    guard let certificates = stage.certificates, let node = stage.world.node(name) else { return nil }
    let now = node.clock.wallTime(stage.world.now.nanoseconds)
    guard certificates.renew(name, expiringAt: now + (lifetime ?? SimulatedCertificates.lifetime)) else { return nil }
    stage.hit()
    stage.tally.count(.renewals)
    guard lifetime != nil else { return nil }
    return { [name] in certificates.renew(name, expiringAt: now + SimulatedCertificates.lifetime) }
  }
}
