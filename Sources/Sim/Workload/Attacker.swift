import Environment
import Simulation
import System

/// Somebody with an ordinary client's credentials who keeps to no protocol: it says everything twice, early, late, out of
/// turn, too long or half, with each value at its limit or beyond, and hopes that others suffer from it. See `AttackGrammar`.
final class Attacker: Inhabitant, @unchecked Sendable {
  let name: String
  private let tally: Tally
  private let stream: ChoiceStream
  private let scenario: Scenario
  private var agenda: Agenda<AttackKind>
  private(set) var isServed = false
  private(set) var lastSeen = "nothing yet"
  private var conversation: AttackConversation?
  /// Answers that no client may cause.
  var blunders: [String] { conversation?.blunders ?? [] }

  init(_ name: String, stream: ChoiceStream, tally: Tally, scenario: Scenario, agenda: Agenda<AttackKind>) {
    self.name = name
    self.stream = stream
    self.tally = tally
    self.scenario = scenario
    self.agenda = agenda
  }

  func live(_ environment: Environment) async throws {
    let begin = environment.clock.now
    let conversation = AttackConversation(
      environment, source: stream, persona: AttackPersona(name: name), services: scenario.attackedServices,
      serviceToken: nil)
    self.conversation = conversation
    try await conversation.introduce()
    while let kind = try await agenda.next(since: begin, stream, tally, environment) {
      lastSeen = "attacks: \(kind.rawValue)"
      let before = conversation.steps
      try await conversation.hold(kind)
      tally.add(conversation.steps - before, to: .attacks)
    }
    conversation.end()
    isServed = true
  }
}

extension Scenario {
  /// The HTTP services that there are.
  var attackedServices: [AttackedService] { AttackedService.allCases.filter { serviceNodes.contains($0.rawValue) } }

  /// The kinds of attacks that find something to attack.
  var possibleAttacks: [AttackKind] {
    AttackKind.allCases.filter { kind in
      switch kind {
      case .http: true
      case .sockets: hasChat
      case .amqp: hasBroker
      case .queues: supervisorHosts > 0
      }
    }
  }
}
