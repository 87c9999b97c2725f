import Environment
import Simulation
import System

/// How far those are who go through their day together: all who chat, or all who take part in sessions.
class Commons: @unchecked Sendable {
  /// How many people there are, have settled for the end, and have looked at everything.
  var people = 0
  var settled = 0
  var looked = 0
  /// When all that one of them did will have been noticed where that takes its time, in virtual nanoseconds.
  private(set) var noticedAt: Int64 = 0

  /// What was done now may take so long until it is noticed.
  func notice(within time: Duration, from now: Int64) { noticedAt = max(noticedAt, now + time.nanoseconds) }
}

/// What all have who use the Chat Service or take part in sessions: who they are, how they behave, where they write down what they see,
/// and what they know of each other.
class Resident<Record: Timeline, Common: Commons, Action: RawRepresentable & Sendable>: @unchecked Sendable
where Action.RawValue == String {
  let name: String
  let behavior: People
  let stream: ChoiceStream
  let history: Record
  let tally: Tally
  let commons: Common
  var agenda: Agenda<Action>
  var isServed = false
  var lastSeen = "nothing yet"

  required init(
    _ name: String, behavior: People, stream: ChoiceStream, history: Record, tally: Tally,
    commons: Common, agenda: Agenda<Action>
  ) {
    self.name = name
    self.behavior = behavior
    self.stream = stream
    self.history = history
    self.tally = tally
    self.commons = commons
    self.agenda = agenda
  }

  /// Waits until what people did has been noticed and has come to rest.
  func comeToRest(_ environment: Environment) async throws {
    try await environment.clock.sleep(for: .nanoseconds(max(0, commons.noticedAt - history.time)) + behavior.rest)
  }
}
