import System

/// People who behave alike.
public struct People: Sendable {
  /// Their common name; with a count, `ann-1`, `ann-2` …
  var name = ""
  var count = 1
  /// Mean time between two actions; exponentially distributed.
  var thinkTime: Duration = .seconds(5)
  /// How often each action is chosen, relative to the others.
  var actions: [(action: Action, weight: Int)] = [
    (.register, 1), (.login, 3), (.refresh, 2), (.addSession, 5), (.getSessions, 5), (.deleteSession, 2),
  ]
  var role = Role.account
  /// The same for users of the Chat Service.
  var chatActions: [(action: ChatAction, weight: Int)] = [
    (.sendDirect, 10), (.sendGroup, 6), (.repeatMessage, 1), (.typing, 1), (.disconnect, 1), (.vanish, 1),
    (.putAway, 1), (.readHistory, 1),
  ]
  /// The same for users and customers of sessions.
  var sessionActions: [(action: SessionAction, weight: Int)] = [(.say, 1)]
  /// The same for attackers.
  var attackActions: [(action: AttackKind, weight: Int)] = AttackKind.allCases.map { ($0, 1) }
  /// Users that a customer wants.
  var users = 1
  /// Most messages that a worker publishes at once.
  var batch = 10
  /// Mean time in which a worker works off what has come together.
  var workTime: Duration = .milliseconds(50)
  /// Chance that it fails.
  var failing = 0.1
  /// Sockets of each, at the Chat Service.
  var devices = 1
  /// How many others each of those who chat knows.
  var contacts = 4
  /// The transports from which each socket's is drawn.
  var transports = EngineIOClient.Transport.allCases
  /// So many names are shared by all; 0 gives each person a name of their own.
  var sharedNames = 0
  /// Whether an email and a username of different people are mixed when registering.
  var mixesNames = false
  /// So many session ids are shared by all; 0 means that ids are never reused by others.
  var sharedSessions = 0
  /// How long to wait for an answer.
  var patience: Duration = .seconds(10)
  /// Chance to hang up between request and response, and to try again.
  var cutOff = 0.0
  /// Chance to send a request slowly, in small pieces.
  var slow = 0.0
  /// Chance that a step on a socket is done twice, early, late or out of turn.
  var rude = 0.0
  /// Time between the pieces of a slow request.
  var slowPause: Duration = .milliseconds(20)

  /// What names and ids that are shared end with: nothing in a world of its own, something new against servers that were there before.
  var tag = ""
  /// Time in which everything comes to rest after the last action.
  var rest: Duration = .seconds(60)
  /// How long before that it may take until somebody is missed who has gone without a word, and until all sockets of a session that has
  /// ended are closed; nothing when there is time for that in `rest`.
  var missing: Duration = .zero
  var ending: Duration = .zero
  /// How long nothing may come to a worker before what is missing is taken for lost.
  var stillness: Duration = .seconds(60)

  /// Each one's name.
  var names: [String] { count == 1 ? [name] : (1...count).map { "\(name)-\($0)" } }
}
