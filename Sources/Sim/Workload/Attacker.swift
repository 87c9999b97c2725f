import Environment
import Simulation
import System

/// A client with ordinary credentials that keeps to no protocol. Each value is at its limit or
/// beyond it, each message may be sent twice, early, late, out of turn, or in part. See
/// `AttackGrammar`.
final class Attacker: SimulatedUser {
  let state: UserState
  private let services: [AttackedService]
  private var agenda: Agenda<ConnectionKind>
  private var conversation: AttackConversation?
  /// Answers that no client may cause.
  var blunders: [String] { conversation?.blunders ?? [] }

  init(_ state: UserState, services: [AttackedService], agenda: Agenda<ConnectionKind>) {
    self.state = state
    self.services = services
    self.agenda = agenda
  }

  func live(_ environment: Environment) async throws {
    let begin = environment.clock.now
    let conversation = AttackConversation(
      environment, source: state.stream, persona: AttackPersona(name: name), services: services, serviceToken: nil)
    self.conversation = conversation
    try await conversation.introduce()
    while let kind = try await agenda.next(since: begin, environment) {
      state.lastSeen = "attacks: \(kind.rawValue)"
      let before = conversation.steps
      try await conversation.hold(kind)
      state.tally.add(conversation.steps - before, to: .attacks)
    }
    conversation.end()
    state.isServed = true
  }
}

extension Scenario {
  /// The HTTP services of the topology.
  var attackedServices: [AttackedService] { AttackedService.allCases.filter { serviceNodes.contains($0.rawValue) } }

  /// The attacks for which the topology has a service.
  var possibleConnections: [ConnectionKind] {
    ConnectionKind.allCases.filter { kind in
      switch kind {
      case .http: true
      case .sockets: hasChat
      case .amqp: hasBroker
      case .queues: supervisorHosts > 0
      }
    }
  }
}
