@testable import Environment
import Testing

@testable import System

@Suite("Leases of hosts")
struct HostLeasesTests {
  private let host = HostName("h")!
  private let start = Instant(nanoseconds: 0)
  private let options = UserManagerOptions()

  private func session(_ status: ManagedSession.Status) -> ManagedSession {
    ManagedSession(
      id: SupervisorID("s1")!, customer: CustomerEmail("a@b"), epoch: .first, status: status,
      host: status == .running ? host : .unnamed, data: .object([]), isOwn: true)
  }

  private func names(_ inputs: [ManagerInput]) -> [String] { inputs.map { "\($0)" } }

  @Test("a host is lost after a time without a heartbeat, counted from the manager's start or the last one")
  func lost() {
    var leases = HostLeases(options, at: start)
    let running = [session(.running)]
    let first = leases.expire(among: running, at: start + options.hostTimeout)
    leases.hear(from: host, at: start + options.hostTimeout)
    let second = leases.expire(among: running, at: start + options.hostTimeout * 2)
    #expect(first.isEmpty && second.isEmpty)
    let lost = leases.expire(among: running, at: start + options.hostTimeout * 2 + .nanoseconds(1))
    #expect(names(lost) == names([.hostLost(host)]))
  }

  @Test("a session that no host takes is offered again, with growing patience, while a host is alive")
  func offers() {
    var leases = HostLeases(options, at: start)
    let starting = [session(.starting)]
    var now = start
    var offeredAt: [Duration] = []
    while now < start + .seconds(120) {
      leases.hear(from: host, at: now)
      if !leases.expire(among: starting, at: now).isEmpty { offeredAt.append(now - start) }
      now = now + .seconds(1)
    }
    #expect(offeredAt == [.seconds(7), .seconds(20), .seconds(45), .seconds(94)])
    let later = leases.expire(among: starting, at: now + .seconds(600))
    #expect(later.isEmpty, "no host is alive")
  }

  @Test("a flood of names of hosts is bounded, and the hosts that are known stay known")
  func flood() {
    var leases = HostLeases(options, at: start)
    leases.hear(from: host, at: start)
    for number in 0..<20_000 { leases.hear(from: HostName("flood-\(number)")!, at: start) }
    #expect(leases.hosts.count == HostLeases.maximum)
    let later = start + options.hostTimeout
    leases.hear(from: host, at: later)
    let inputs = leases.expire(among: [session(.running)], at: later + .nanoseconds(1))
    #expect(inputs.isEmpty)
    #expect(leases.hosts.map(\.name) == [host])
  }
}
