import Environment

/// A User Manager that shares its tables with those of other nodes. One of them is active, and the
/// others wait.
///
/// The active one counts a beat up. A node that sees the beat stand still for the time of a lease
/// takes the tables over from that manager, and from no other. Each commit checks who owns the
/// tables, so the manager before it has no effect from then on, however late it wakes up. Only the
/// observer's clock decides when to take over, so the clocks of nodes need not agree.
public struct ManagerNode: Service {
  /// The address of the node's server, which is also there while another one is active.
  public let addresses: [(name: String, address: SocketAddress)]
  private let place: ManagerPlace

  /// Starts the node: listens, and takes the tables over once nobody is active.
  /// - Throws: `DatabaseError`, `NetworkError`: a fault that an operator has to mend.
  public static func start(_ environment: Environment, _ options: UserManagerOptions) async throws -> ManagerNode {
    let place = ManagerPlace(environment, options)
    return ManagerNode(addresses: [("manager", try await place.begin())], place: place)
  }

  /// Stops taking requests and messages, and leaves the tables to another node.
  public func drain() async { await place.leave() }
}

/// The place of a node among the User Managers that share their tables.
actor ManagerPlace {
  /// The time for which an active manager may be silent.
  static let lease: Duration = .seconds(6)
  /// The interval at which it counts.
  static let interval: Duration = .seconds(2)
  /// The interval at which a node that waits looks.
  private static let look: Duration = .seconds(1)
  private static let tick: Duration = .milliseconds(250)

  private let environment: Environment
  private var options: UserManagerOptions
  /// Its transactions wait for no turn.
  private let watch: Database
  private let serialExecutor: ActorExecutor
  private var forwarder: ByteForwarder?
  private var active: (service: HTTPService<UserManager>, life: String)?
  /// The manager that owned the tables at the last look, its beat, and since when they are known.
  private var known: (owner: String, beat: Int64, since: Instant)?
  private var lookedAt: Instant
  /// Where the active manager is reached.
  private var target: SocketAddress?
  /// The start of the last count that succeeded.
  private var countedAt: Instant
  private var isCounting = false
  private var isClosed = false
  private let changed = Gate()

  nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

  init(_ environment: Environment, _ options: UserManagerOptions) {
    self.environment = environment
    self.options = options
    watch = Database(
      environment, path: UserManager.database.path, migrations: UserManager.database.migrations,
      options: options.database)
    lookedAt = environment.clock.now
    countedAt = environment.clock.now
    serialExecutor = environment.executor.forActor("manager-place")
  }

  /// Listens, and begins to wait. Returns the address.
  func begin() async throws -> SocketAddress {
    let owner = try await ownerToReplace()
    try startForwarding()
    options.address = forwarder!.address
    environment.executor.spawn("manager-place") { await self.keep(owner) }
    return options.address
  }

  /// Leaves in order.
  func leave() async {
    isClosed = true
    changed.open()
    await forwarder?.close()
    if let active {
      await active.service.drain()
      let life = active.life
      do { try await watch.transaction { try await ManagerLeaseTable($0).release(life) } } catch {
        // The others find out by themselves.
        environment.log.info("manager-not-signed-off", ["error": .string("\(error)")])
      }
    }
    await watch.close()
  }

  // MARK: Waiting

  /// The owner of the tables, if this node may take them over now.
  private struct Replaceable: Sendable {
    let owner: String?
  }

  private func keep(_ first: Replaceable?) async {
    var found = first
    while !isClosed {
      if let found { await serve(replacing: found.owner) }
      found = nil
      guard !isClosed else { return }
      _ = await changed.wait(until: environment.clock.now + Self.look, in: environment)
      do { found = try await ownerToReplace() } catch is NodeDown {
        return
      } catch {
        environment.log.info("manager-lease", ["error": .string("\(error)")])
      }
    }
  }

  /// Looks at the lease.
  private func ownerToReplace() async throws -> Replaceable? {
    let begin = environment.clock.now
    let seen = try await watch.transaction { try await ManagerLeaseTable($0).seen() }
    let now = environment.clock.now
    // While this node did not look, the active one could perhaps not count either.
    if begin - lookedAt > Self.interval { known = nil }
    lookedAt = now
    target = seen.holder?.address == ownAddress ? nil : seen.holder?.address
    guard let owner = seen.owner, owner != ManagerLeaseTable.nobody else { return Replaceable(owner: seen.owner) }
    // An earlier life of this node counts no more.
    if let holder = seen.holder, holder.name == environment.node { return Replaceable(owner: owner) }
    let beat = seen.holder?.beat ?? 0
    guard let known, known.owner == owner, known.beat == beat else {
      known = (owner, beat, now)
      return nil
    }
    return begin - known.since >= Self.lease ? Replaceable(owner: owner) : nil
  }

  /// The address by which other nodes reach this one.
  private var ownAddress: SocketAddress {
    SocketAddress(host: options.advertisedHost ?? options.address.host, port: options.address.port)
  }

  private func startForwarding() throws {
    let listener = try environment.network.listen(
      options.address, backlog: options.server.backlog, for: .http)
    forwarder = ByteForwarder(environment, listener, refusal: Self.refusal) { await self.target }
    forwarder!.start()
  }

  /// The answer while nobody is active.
  private static let refusal: [UInt8] = {
    let body = #"{"STATUS":"FAILED","ERROR":"no User Manager is active"}"#
    let fields = ["Content-Type: application/json", "Content-Length: \(body.utf8.count)", "Retry-After: 2"]
    let lines = ["HTTP/1.1 503 Service Unavailable"] + fields + ["Connection: close", "", body]
    return Array(lines.joined(separator: "\r\n").utf8)
  }()

  // MARK: Being active

  /// Takes the tables over from `owner`, and serves until another node takes them over, or this one
  /// could not count for the time of a lease.
  private func serve(replacing owner: String?) async {
    let life = Hex.encode(environment.entropy.bytes(16))
    var options = options
    options.database.claim = DatabaseClaim(life: life, predecessor: owner)
    await forwarder?.close()
    forwarder = nil
    do {
      countedAt = environment.clock.now
      let service = try await UserManager.start(environment, options)
      environment.log.warning("manager-active", ["life": .string(life)])
      active = (service, life)
      await hold(service.backend, life)
      if isClosed { return }
      environment.log.warning("manager-waits", ["life": .string(life)])
      await service.drain()
    } catch {
      environment.log.info("manager-not-active", ["error": .string("\(error)")])
    }
    active = nil
    known = nil
    while !isClosed {
      do { return try startForwarding() } catch {
        // The sockets of the manager may not be closed yet.
        environment.log.info("manager-not-listening", ["error": .string("\(error)")])
        do { try await environment.clock.sleep(for: Self.tick) } catch { return }
      }
    }
  }

  /// Counts for as long as the manager is active.
  private func hold(_ manager: UserManager, _ life: String) async {
    var next = environment.clock.now
    while !isClosed, await !manager.isReplaced {
      let now = environment.clock.now
      if now - countedAt >= Self.lease {
        environment.log.error("manager-cut-off", ["advice": "the manager's database does not answer"])
        return await manager.giveWay()
      }
      if now >= next, !isCounting {
        next = now + Self.interval
        isCounting = true
        environment.executor.spawn("manager-beat") { await self.count(manager, life) }
      }
      do { try await environment.clock.sleep(for: Self.tick) } catch { return }
    }
  }

  private func count(_ manager: UserManager, _ life: String) async {
    defer { isCounting = false }
    let (name, address) = (environment.node, ownAddress)
    let begin = environment.clock.now
    do {
      try await manager.database.transaction {
        try await ManagerLeaseTable($0).beat(life, name: name, address: address)
      }
      countedAt = max(countedAt, begin)
    } catch DatabaseError.locked {
      await manager.giveWay()
    } catch {
      environment.log.info("manager-beat", ["error": .string("\(error)")])
    }
  }
}
