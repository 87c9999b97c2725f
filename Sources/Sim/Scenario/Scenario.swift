import Environment
import Simulation
import System

/// A scenario: who is there, what they do, what goes wrong, and what has to have happened. See `docs/scenarios.md`.
public struct Scenario: Sendable {
  /// What it is called in reports.
  public var name = ""
  /// The people, in groups that behave alike.
  public var people: [People] = []
  /// Simulated time in which people act and faults strike; then faults stop and everything has to come right.
  public var run: Duration = .seconds(60)
  /// Time after that in which everybody has to be served, and everything up.
  var grace: Duration = .seconds(1800)
  /// When the run ends whatever is under way: what it is about has happened by then.
  var end: Duration?
  /// What goes wrong.
  public var faults: [Fault] = []
  /// Exact steps.
  public var script: [ScriptStep] = []
  /// Counters that have to reach at least so much over all seeds.
  public var expect: [(counter: Counter, atLeast: Int)] = []
  /// How the User Service is set up.
  public var service = ServiceSettings()
  var link = LinkSetting()
  var clocks: [ClockRule] = []

  /// The seed to run it with when nobody names one: what fuzzing found fails with it.
  public var seed: UInt64?
  /// How its schedules are made when nobody says otherwise.
  public var strategy = StrategyName.random
  /// What is left to the seed; all of it, but in what shrinking has made simple.
  var windows = ChoiceWindows()
  /// Whether it stands for one run: what chance may do in it was cut down to that.
  public var isRecording: Bool { !windows.all.isEmpty }
  /// Whether it is about its own seed alone: a recording, or the lesson of a planted bug.
  public var hasOneSeed: Bool { seed != nil && (isRecording || !fails.isEmpty) }
  /// Orders of events that have to be seen over all seeds.
  public var sometimes: [Orderings.Pair] = []
  /// The oracles of which one has to fail: what a scenario with a planted bug is about.
  public var fails: [String] = []
  /// Whether there is a Chat Service.
  var hasChat = false

  /// The node that runs the User Service.
  static let usersNode = "users"
  /// The node that runs the Chat Service.
  static let chatNode = "chat"
  /// Where the User Service listens.
  static let usersAddress = SocketAddress(host: usersNode, port: 8001)
  /// Where the Chat Service listens.
  static let chatAddress = SocketAddress(host: chatNode, port: 5000)
  /// Hosts of supervisors; with one or more there are the broker, the manager and the Customer Server as well.
  var supervisorHosts = 0
  /// Whether there is a broker, also without them.
  var hasBroker = false
  /// Where the other services listen.
  static let brokerAddress = SocketAddress(host: "broker", port: 5672)
  static let managerAddress = SocketAddress(host: "manager", port: 20000)
  static let customersAddress = SocketAddress(host: "customers", port: 5500)
  /// The hosts, by name.
  var hostNames: [String] { supervisorHosts == 0 ? [] : (1...supervisorHosts).map { "supervisor-\($0)" } }
  /// The nodes that run services, those first that others need.
  public var serviceNodes: [String] {
    if supervisorHosts > 0 { return ["broker", Self.usersNode, "manager", Self.chatNode, "customers"] + hostNames }
    return (hasBroker ? ["broker"] : []) + [Self.usersNode] + (hasChat ? [Self.chatNode] : [])
  }

  struct ClockRule: Sendable {
    let node: String
    let skew: Duration
    let driftPartsPerMillion: Int64
  }

  /// An exact step: somebody does something at a time.
  public struct ScriptStep: Sendable {
    let at: Duration
    let who: String
    /// One of the actions of their role.
    let action: String
    /// Towards whom; nil leaves that to chance.
    var to: String?
  }

  /// Whether some of a group's people may do something, by chance or by the script.
  func hasAction(_ action: ChatAction, in group: People) -> Bool {
    group.chatActions.contains { $0.action == action }
      || script.contains { $0.action == action.rawValue && group.names.contains($0.who) }
  }

  /// Whether nothing is on its way for long but by a fault.
  var isQuick: Bool { link.stalls == 0 && link.latency.upperBound <= .milliseconds(20) }

  /// Whether nothing goes wrong.
  var isCalm: Bool { isQuick && faults.isEmpty }

  /// Whether a socket may have to be missed.
  var needsHeartbeats: Bool { !isCalm || somebodyVanishes }

  /// Whether some people may give a socket up without a word. Whoever hangs up before a socket is open says nothing either.
  var somebodyVanishes: Bool {
    let silent: Set = [
      "vanish", "put-away", "leave", "depart", "disconnect", "logout-elsewhere", "logout-while-connecting",
      "delete-session", "delete-user",
    ]
    let actions = people.flatMap {
      $0.role == .chat ? $0.chatActions.map(\.action.rawValue) : $0.sessionActions.map(\.action.rawValue)
    }
    return !silent.isDisjoint(with: actions + script.map(\.action))
  }

  /// The names of all people, in order.
  var peopleNames: [String] { people.flatMap(\.names) }
}

/// What simulated people can do.
public enum Action: String, CaseIterable, Sendable {
  case register, login, refresh
  case addSession = "add-session"
  case getSessions = "get-sessions"
  case deleteSession = "delete-session"
  case deleteUser = "delete-user"
  /// Two who hold the same refresh token use it at the same time.
  case stealRefresh = "steal-refresh"
  /// A used refresh token is used again.
  case replayRefresh = "replay-refresh"
  /// A token that ought to be dead is used, to look, to add a session or to delete one.
  case useDeadToken = "use-dead-token"
  /// A session that somebody else has added is deleted: it must not work.
  case deleteOthersSession = "delete-others-session"
  case wrongPassword = "wrong-password"
}

/// What simulated users of the Chat Service can do.
public enum ChatAction: String, CaseIterable, Sendable {
  case sendDirect = "send-direct"
  case sendGroup = "send-group"
  /// A message is sent by two devices at the same time.
  case sendTwice = "send-twice"
  /// A message that was acknowledged is sent again.
  case repeatMessage = "repeat-message"
  case typing
  /// A socket is closed in order, and opened again.
  case disconnect
  /// A socket is given up without a word, and opened again.
  case vanish
  /// A device has no socket for a while.
  case putAway = "put-away"
  /// Somebody is blocked for a while.
  case block
  case leaveGroup = "leave-group"
  /// Somebody is taken out of one's own group, and put back.
  case removeMember = "remove-member"
  /// A session is ended while a device is on it.
  case logoutElsewhere = "logout-elsewhere"
  /// A session is ended while a device opens a socket with it.
  case logoutWhileConnecting = "logout-while-connecting"
  /// A session is ended at the User Service while a device is on it.
  case deleteSession = "delete-session"
  case readHistory = "read-history"
  /// The account is deleted at the User Service, and its name registered again.
  case deleteUser = "delete-user"
}

/// What simulated users and customers of sessions can do.
public enum SessionAction: String, CaseIterable, Sendable {
  case say
  /// A user's socket is closed in order, and opened again.
  case disconnect
  /// A user's socket is given up without a word, and opened again.
  case vanish
  /// A user is away for a while.
  case leave
  /// A user goes, and does not come back.
  case depart
  /// A customer reads what is new in the transcript.
  case read
  /// A customer asks for another user.
  case moreUsers = "more-users"
  /// A customer ends the session, and asks for another.
  case endSession = "end-session"
  /// A customer asks for a session twice at once.
  case raceForSession = "race-for-session"
}

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

/// What goes wrong, and when.
public struct Fault: Sendable {
  /// The kinds of faults.
  public enum Kind: Sendable {
    case crash(node: String, death: SimNode.Death, inCommit: Bool, restartAfter: ClosedRange<Duration>)
    case pause(node: String, duration: ClosedRange<Duration>)
    case drain(node: String, restartAfter: ClosedRange<Duration>)
    /// All connections of a node are reset.
    case reset(node: String)
    case partition(from: [String], to: [String], oneWay: Bool)
    case disk(node: String, DiskRule)
    case link(stalls: Double)
    case skew(node: String, Duration)
  }

  /// What is wrong with a disk for a while.
  public struct DiskRule: Sendable {
    var failingReads = 0.0
    var failingWrites = 0.0
    var failingSyncs = 0.0
    var rot = 0.0
    var slowness = 0.0
    /// No more space than is used now.
    var isFull = false
  }

  let kind: Kind
  let from: Duration
  /// The end of a fault that lasts; repeated faults go on until then.
  let to: Duration
  /// When set, the fault strikes again and again with this mean time between.
  let every: Duration?

  /// The longest time for which a node does not run because of it.
  var downtime: Duration {
    switch kind {
    case .crash(_, _, _, let time), .drain(_, let time), .pause(_, let time): time.upperBound
    default: .zero
    }
  }
}

/// What a run counts, so that a scenario can say what it must have reached.
public enum Counter: String, CaseIterable, Sendable {
  case requests, successes, conflicts, unauthorized, throttled, unavailable
  case unanswered, retries, refused
  case crashes
  case crashesInCommit = "crashes-in-commit"
  case failedStarts = "failed-starts"
  case restarts, pauses, drains, resets, partitions
  case diskErrors = "disk-errors"
  case diskFull = "disk-full"
  case bitRot = "bit-rot"
  case clockJumps = "clock-jumps"
  case cutOffs = "cut-offs"
  case requestTimeouts = "request-timeouts"
  case slowRequests = "slow-requests"
  case refreshRaces = "refresh-races"
  case refreshReplays = "refresh-replays"
  case deadTokens = "dead-tokens"
  case expiredTokens = "expired-tokens"
  case deletedUsers = "deleted-users"
  case sockets, upgrades, messages, resends, blocks, logouts, readings, takeovers, trespasses, stalls
  case socketsRefused = "sockets-refused"
  case socketsClosed = "sockets-closed"
  case messagesStored = "messages-stored"
  case messagesRefused = "messages-refused"
  case messagesHeard = "messages-heard"
  case presenceHeard = "presence-heard"
  case typingHeard = "typing-heard"
  case doubleSends = "double-sends"
  case sessionsServed = "sessions-served"
  case sessionRaces = "session-races"
  case memberChanges = "member-changes"
  case groupMessagesStored = "group-messages-stored"
  /// Steps of a protocol that were done twice, early, late or out of turn.
  case rudeSteps = "rude-steps"
  /// Messages that nobody can read.
  case poison
  /// Messages that workers worked off, again included.
  case worked
  /// Users of sessions who went for good.
  case departures
  /// Steps of attackers.
  case attacks
}
