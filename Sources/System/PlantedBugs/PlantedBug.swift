#if PlantedBugs
  /// A known mistake that a scenario can put into a service, by its name (`plant:
  /// ["chat.emitsBeforeCommit"]`).
  ///
  /// Each is needed by a lesson in `scenarios/lessons`, or by a test that shows that an oracle or
  /// an attack finds it. A bug that is one changed line and that neither needs is a mutant
  /// (`Tests/Mutants`). The trait `PlantedBugs` of the package compiles them in; a released binary
  /// is built without it and holds none.
  public enum PlantedBug: String, Sendable, CaseIterable {
    // MARK: The User Service, for tests of oracles

    /// A refresh token is looked up and used up in two transactions.
    case refreshInTwoSteps = "users.refreshInTwoSteps"
    /// One transaction asks whether a session exists, and another adds it over whatever is there.
    case sessionInTwoSteps = "users.sessionInTwoSteps"
    /// Usernames that differ only in case count as different.
    case usernamesByCase = "users.usernamesByCase"
    /// Expired tokens are accepted.
    case ignoresExpiry = "users.ignoresExpiry"
    /// Tokens of a revoked login are accepted.
    case ignoresRevocation = "users.ignoresRevocation"
    /// A disabled account can log in.
    case ignoresDisabling = "users.ignoresDisabling"
    /// Now and then a request is answered 500.
    case fails = "users.fails"
    /// A request is not answered for a day.
    case hangs = "users.hangs"
    /// Over PostgreSQL, sessions are listed by their ids.
    case listsSessionsByID = "users.listsSessionsByID"
    /// A registration with an invalid email is answered 500.
    case failsOnInvalidNames = "users.failsOnInvalidNames"
    /// Now and then a request ends the process.
    case traps = "users.traps"
    /// Now and then a request is an endless loop.
    case loops = "users.loops"

    // MARK: The Chat Service, for lessons; the last two for tests of oracles

    /// A message is emitted before it is stored.
    case emitsBeforeCommit = "chat.emitsBeforeCommit"
    /// Messages go out in the order in which their transactions return, not in that of `seq`.
    case emitsInArrivalOrder = "chat.emitsInArrivalOrder"
    /// The members of a group are cached, and the cache is refreshed only now and then.
    case leavesRoomLate = "chat.leavesRoomLate"
    /// One transaction looks for the `client_id`, and another stores the message.
    case clientIDInTwoSteps = "chat.clientIDInTwoSteps"
    /// A user is offline when any socket closes.
    case presenceByLastEvent = "chat.presenceByLastEvent"
    /// Packets that wait when the transport changes are dropped.
    case dropsOnUpgrade = "chat.dropsOnUpgrade"
    /// A session that was valid once is believed for ever.
    case trustsSessionsForever = "chat.trustsSessionsForever"
    /// A client may connect to a namespace again while its first connection is being admitted.
    case admitsTwice = "chat.admitsTwice"
    /// The User Manager is told once that a user is gone, even when it does not hear it.
    case forgetsDepartures = "chat.forgetsDepartures"

    /// Messages are read with the names of senders that the process has heard of.
    case forgetsSenders = "chat.forgetsSenders"

    // MARK: The broker, the first two for lessons, the others for tests of oracles

    /// A publication is confirmed before it is on the disk.
    case confirmsEarly = "broker.confirmsEarly"
    /// Messages that a client held when its connection broke are dropped.
    case losesUnacknowledged = "broker.losesUnacknowledged"
    /// Requeued messages go to the end of their queue.
    case requeuesAtTheEnd = "broker.requeuesAtTheEnd"
    /// A queue's `x-message-ttl` is converted before its bounds are checked.
    case convertsTimesUnchecked = "broker.convertsTimesUnchecked"
    /// Messages expire half a second early.
    case expiresEarly = "broker.expiresEarly"
    /// A queue wakes five seconds after its first message expires.
    case expiresLate = "broker.expiresLate"
    /// A priority queue gives all messages the same priority.
    case ignoresPriorities = "broker.ignoresPriorities"
    /// A full queue drops no message.
    case exceedsLengths = "broker.exceedsLengths"
    /// The memory reserved for a client before its login is not released when it leaves without
    /// one.
    case keepsStrangers = "broker.keepsStrangers"

    // MARK: The User Manager and the Customer Server, for lessons

    /// A message is acknowledged to its queue before its effects are committed.
    case acknowledgesEarly = "manager.acknowledgesEarly"
    /// Each message is handled in a task of its own, which reads the database first.
    case taskPerMessage = "manager.taskPerMessage"
    /// A user is gone when any of their connections has ended.
    case dropsOnAnyDisconnect = "manager.dropsOnAnyDisconnect"
    /// The list of free users keeps those who go offline.
    case listBesideDictionary = "manager.listBesideDictionary"
    /// One transaction looks for a running session, and another notes the new one.
    case checksThenSets = "customers.checksThenSets"

    // MARK: The database of each service, for tests of oracles

    /// Commits do not wait for the disk (`PRAGMA synchronous = OFF`).
    case synchronousOff = "database.synchronousOff"
    /// Transactions are answered before the commit.
    case answersEarly = "database.answersEarly"

    /// Whether this build can plant bugs.
    public static let isAvailable = true
  }
#else
  /// A planted bug, in a build without any. No value of this type exists: the members satisfy the
  /// compiler, and the optimizer removes them, so that the binary holds no name of a bug.
  public struct PlantedBug: Hashable, Sendable, CaseIterable {
    /// No bug.
    public static var allCases: [PlantedBug] { [] }
    /// Whether this build can plant bugs.
    public static let isAvailable = false

    /// The name in scenario files, which this build does not contain.
    public var rawValue: String { "" }

    /// Nil: this build knows no bug.
    public init?(rawValue: String) { nil }
    private init() {}

    static var refreshInTwoSteps: Self { Self() }
    static var sessionInTwoSteps: Self { Self() }
    static var usernamesByCase: Self { Self() }
    static var ignoresExpiry: Self { Self() }
    static var ignoresRevocation: Self { Self() }
    static var ignoresDisabling: Self { Self() }
    static var fails: Self { Self() }
    static var hangs: Self { Self() }
    static var failsOnInvalidNames: Self { Self() }
    static var traps: Self { Self() }
    static var loops: Self { Self() }
    static var listsSessionsByID: Self { Self() }
    static var emitsBeforeCommit: Self { Self() }
    static var emitsInArrivalOrder: Self { Self() }
    static var leavesRoomLate: Self { Self() }
    static var clientIDInTwoSteps: Self { Self() }
    static var presenceByLastEvent: Self { Self() }
    static var dropsOnUpgrade: Self { Self() }
    static var trustsSessionsForever: Self { Self() }
    static var admitsTwice: Self { Self() }
    static var forgetsDepartures: Self { Self() }
    static var forgetsSenders: Self { Self() }
    static var confirmsEarly: Self { Self() }
    static var losesUnacknowledged: Self { Self() }
    static var requeuesAtTheEnd: Self { Self() }
    static var convertsTimesUnchecked: Self { Self() }
    static var expiresEarly: Self { Self() }
    static var expiresLate: Self { Self() }
    static var ignoresPriorities: Self { Self() }
    static var exceedsLengths: Self { Self() }
    static var keepsStrangers: Self { Self() }
    static var acknowledgesEarly: Self { Self() }
    static var taskPerMessage: Self { Self() }
    static var dropsOnAnyDisconnect: Self { Self() }
    static var listBesideDictionary: Self { Self() }
    static var checksThenSets: Self { Self() }
    static var synchronousOff: Self { Self() }
    static var answersEarly: Self { Self() }
  }
#endif
