import System

/// How far those are who go through their day together: all who chat, or all who take part in sessions.
class Commons: @unchecked Sendable {
  /// How many people there are, have settled for the end, and have looked at everything.
  var people = 0
  var settled = 0
  var looked = 0
  /// When one of them last gave a socket up without a word, in virtual nanoseconds.
  var silentAt: Int64?
}

/// What all have who use the Chat Service or take part in sessions: who they are, how they behave, where they write down what they see,
/// and what they know of each other.
class Resident<Record: Timeline, Common: Commons, Action: RawRepresentable & Sendable>: @unchecked Sendable
where Action.RawValue == String {
  let name: String
  let behavior: People
  let stream: ChoiceStream
  let history: Record
  let counters: History
  let commons: Common
  var agenda: Agenda<Action>
  var isServed = false
  var lastSeen = "nothing yet"

  required init(
    _ name: String, behavior: People, stream: ChoiceStream, history: Record, counters: History,
    commons: Common, agenda: Agenda<Action>
  ) {
    self.name = name
    self.behavior = behavior
    self.stream = stream
    self.history = history
    self.counters = counters
    self.commons = commons
    self.agenda = agenda
  }

  /// Waits until what people did has come to rest: whoever has gone without a word is to be missed first.
  func comeToRest(_ environment: Environment) async throws {
    let silence = commons.silentAt.map { Duration.nanoseconds(history.time - $0) } ?? behavior.missing
    try await environment.clock.sleep(for: max(.zero, behavior.missing - silence) + behavior.rest)
  }
}
