import Environment
import Simulation
import System

/// What the services of a world hold: tasks, waits, and the contents of their memory.
struct Inventory {
  private var counts: [String: Int] = [:]

  /// Counts what each service holds now. Supervisor hosts count as one: any of them may run a
  /// session.
  init(of services: [SimNode]) {
    for node in services {
      let name = node.name.hasPrefix("supervisor-") ? "supervisors" : node.name
      for task in node.life?.liveTasks ?? [] { add(1, "\(name): task \(task)") }
      for wait in node.life?.waits ?? [] { add(1, "\(name): \(Self.withoutNumber(wait))") }
      guard let service = node.service else { continue }
      for entry in Holdings(of: service).counts.sorted(by: { $0.key < $1.key }) {
        add(entry.value, "\(name): \(entry.key)")
      }
    }
  }

  /// The lower of each count here and in `other`. Work that a service does again and again is under
  /// way at some moments only; a leak is there at all of them.
  func lowest(_ other: Inventory) -> Inventory {
    var lowest = self
    lowest.counts = counts.reduce(into: [:]) { result, entry in
      result[entry.key] = min(entry.value, other.counts[entry.key, default: 0])
    }
    return lowest
  }

  /// The higher of each count here and in `other`.
  func highest(_ other: Inventory) -> Inventory {
    var highest = self
    highest.counts.merge(other.counts, uniquingKeysWith: max)
    return highest
  }

  private mutating func add(_ count: Int, _ what: String) { counts[what, default: 0] += count }

  /// A wait without the number of its connection.
  private static func withoutNumber(_ wait: String) -> String { String(wait.prefix { $0 != "#" }) }

  /// What a service may keep for longer than a run waits, with the reason.
  private static let kept: [(what: String, most: Int)] = [
    // The attempts of the last 15 minutes, bounded by a number.
    ("System.RecentEvents<", .max),
    // Sessions without sockets, at most `WorkLimit.idleSessions`.
    ("System.SessionBook.sessions", .max),
    // Cancelled consumers, at most 16 in a list or as many as others.
    ("System.BrokerConsumer", .max), ("System.ConsumerList.places", .max), ("System.BrokerQueue.consumers", .max),
    // Messages in queues. After a restart they are read from the disk when somebody wants them.
    ("System.BrokerMessage", .max), (".ReturnedEntries.heap", .max),
    // The connections of a pool stay until its next request, at most as many as requests at once.
    ("System.HTTPClientPool.idle", 16), ("System.HTTPClient", 16),
    // Connections to PostgreSQL stay until another one was idle for a minute, at most as many as
    // the pool may have. Each keeps its statements prepared, at most
    // `WorkLimit.postgresStatements`.
    ("System.PostgresPool.idle", 16), ("System.Postgres", .max),
    // With TLS, each of these connections has a stream and a context.
    ("System.SecureConnection", 16), ("System.SecureStream", 16), ("System.ByteBIO", 16),
    ("System.ClientContext", 16), ("System.Trust.authorities", 16),
    // A connection that began before a new certificate keeps the former one.
    ("System.ServerContext", 16), ("System.Certificate", 32), ("System.PrivateKey", 16),
    // Removed elements leave gaps, at most as many as there are elements. `index` has no gaps.
    (">.places", .max),
    // Users who came and left while nobody wanted them, at most 64 more than twice the users.
    ("System.UserPool.queue", 100),
    // An entry for each user who has taken part in a session that goes on.
    ("System.SupervisorSession.came", .max), ("System.SupervisorSession.left", .max),
    // The numbers of channels that were used at once.
    ("System.AMQPChannels.unused", .max),
    // The hosts of the last 10 minutes, at most `HostLeases.maximum`.
    ("System.HostLeases.heard", .max),
  ]

  /// A line for each count that is higher here than in `idle`.
  func excess(over idle: Inventory) -> [String] {
    counts.sorted { $0.key < $1.key }.compactMap { what, count in
      let usual = idle.counts[what, default: 0]
      guard count > usual else { return nil }
      let most = Self.kept.first { what.contains($0.what) }?.most ?? 0
      return count - usual > most ? "\(what): \(count), and \(usual) after a restart" : nil
    }
  }
}
