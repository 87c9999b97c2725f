/// What all have who use the Chat Service or take part in sessions: who they are, how they behave, where they write down what they see,
/// and what they know of each other.
class Resident<Record, Commons, Action: RawRepresentable & Sendable>: @unchecked Sendable
where Action.RawValue == String {
  let name: String
  let behavior: People
  let stream: ChoiceStream
  let history: Record
  let counters: History
  let commons: Commons
  var agenda: Agenda<Action>
  var isServed = false
  var lastSeen = "nothing yet"

  required init(
    _ name: String, behavior: People, stream: ChoiceStream, history: Record, counters: History,
    commons: Commons, agenda: Agenda<Action>
  ) {
    self.name = name
    self.behavior = behavior
    self.stream = stream
    self.history = history
    self.counters = counters
    self.commons = commons
    self.agenda = agenda
  }
}
