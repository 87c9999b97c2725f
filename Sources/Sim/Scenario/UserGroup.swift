import System

/// A group of users who behave alike.
public struct UserGroup: Sendable {
  /// The common name; users of a larger group are `ann-1`, `ann-2` and so on.
  var name = ""
  var count = 1
  var role = Role.account
  /// Mean time between two actions. It is exponentially distributed.
  var thinkTime: Duration = .seconds(5)
  /// When the users hurry, all at the same moment; nil for users who never do.
  var bursts: Bursts?

  /// The relative frequency of each action, for users of the User Service.
  var actions: [(action: AccountAction, weight: Int)] = [
    (.register, 1), (.login, 3), (.refresh, 2), (.addSession, 5), (.getSessions, 5), (.deleteSession, 2),
  ]
  /// The same for users of the Chat Service.
  var chatActions: [(action: ChatAction, weight: Int)] = [
    (.sendDirect, 10), (.sendGroup, 6), (.repeatMessage, 1), (.typing, 1), (.disconnect, 1), (.vanish, 1),
    (.putAway, 1), (.readHistory, 1),
  ]
  /// The same for users of supervised sessions.
  var userActions: [(action: SupervisedUserAction, weight: Int)] = [(.say, 1)]
  /// The same for customers.
  var customerActions: [(action: CustomerAction, weight: Int)] = [(.say, 1)]
  /// The same for operators.
  var operatorActions: [(action: OperatorAction, weight: Int)] = OperatorAction.allCases.filter(\.isAboutAccounts).map {
    ($0, 1)
  }
  /// The same for attackers and callers.
  var connectionActions: [(action: ConnectionKind, weight: Int)] = ConnectionKind.allCases.map { ($0, 1) }

  /// Whether callers are trusted as a service is: those who are clients of the broker.
  var isTrusted: Bool { connectionActions.contains { $0.action == .queues || $0.action == .amqp } }

  /// The users that a customer requests.
  var users = 1
  /// The most messages that a worker publishes at once.
  var batch = 10
  /// Mean time in which a worker works off a batch.
  var workTime: Duration = .milliseconds(50)
  /// Chance that a worker fails.
  var failing = 0.1
  /// Whether a worker uses queues with limits: expiry, priorities and lengths.
  var limits = false
  /// Whether a worker uses all methods of AMQP on queues with any arguments.
  var methods = false
  /// Devices of each chat user.
  var devices = 1
  /// The others that each chat user knows.
  var contacts = 4
  /// The transports from which that of each connection is drawn.
  var transports = EngineIOClient.Transport.allCases
  /// Names that all users share; 0 gives each user a name of its own.
  var sharedNames = 0
  /// Whether a registration may combine the email of one name with another username.
  var mixesNames = false
  /// Whether usernames have letters of many scripts.
  var foreignNames = false
  /// Session ids that all users share; 0 gives each session an id of its own.
  var sharedSessions = 0
  /// How long a user waits for an answer.
  var patience: Duration = .seconds(10)
  /// Chance to hang up between a request and its answer, and to try again.
  var cutOff = 0.0
  /// Chance to send a request slowly, in small pieces.
  var slow = 0.0
  /// Time between the pieces of a slow request.
  var slowPause: Duration = .milliseconds(20)
  /// Chance of a rude step on a socket.
  var rude = 0.0
  /// Chance that a device asks for the recovery of its socket.
  var recover = 0.0

  /// The nodes of the User Service, over which the users spread their requests.
  var usersNodes = [Scenario.usersNode]
  /// The nodes of the Chat Service, over which they spread their requests and sockets.
  var chatNodes = [Scenario.chatNode]
  /// The suffix of shared names and ids. It is empty in a simulated world, and new for each run
  /// against live servers.
  var tag = ""
  /// Time in which everything comes to rest after the last action.
  var rest: Duration = .seconds(60)
  /// Time in which the services miss a user who has gone silently. Zero if `rest` covers it.
  var missing: Duration = .zero
  /// Time in which the services close all sockets of an ended session. Zero if `rest` covers it.
  var ending: Duration = .zero
  /// A worker that receives nothing for this long takes the missing messages for lost.
  var stillness: Duration = .seconds(60)

  /// The names of the users.
  var names: [String] { count == 1 ? [name] : (1...count).map { "\(name)-\($0)" } }
}

/// Moments at which all users of a group act, each several times without a pause.
struct Bursts: Sendable {
  /// The time from one burst to the next. The first one comes so long after the start, so groups
  /// with the same time have the same moments.
  var every: Duration = .seconds(2)
  /// The actions of each user.
  var actions = 3
}
