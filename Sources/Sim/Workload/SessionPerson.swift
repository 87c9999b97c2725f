/// What all who take part in sessions have: who they are, how they behave, and where they write down what they see.
class SessionPerson: @unchecked Sendable {
  let name: String
  let behavior: People
  let stream: ChoiceStream
  let history: SessionHistory
  let counters: History
  let commons: SessionCommons
  /// How long they act.
  let run: Duration
  var isServed = false
  var lastSeen = "nothing yet"

  init(
    _ name: String, behavior: People, stream: ChoiceStream, history: SessionHistory, counters: History,
    commons: SessionCommons, run: Duration
  ) {
    self.name = name
    self.behavior = behavior
    self.stream = stream
    self.history = history
    self.counters = counters
    self.commons = commons
    self.run = run
  }
}
