import Environment

/// A cache of sessions, which belong to the User Service. An ended session is removed at once.
///
/// A cached session may be used only under a *lease*. Once a second the directory asks for the id
/// of the latest session event. When the stream of events has reached that id, every session that
/// had ended at the time of the question is known here, and the lease starts again at that time.
/// When the lease runs out, the sockets of the sessions are closed. So no ended session is used for
/// longer than the contract's 5 s, whatever has failed. While events do not arrive but questions
/// are answered, the directory asks about each session that has sockets before its lease runs out.
actor SessionDirectory {
  /// The time for which the stream may be silent. The User Service sends something every 2 s.
  private static let streamPatience: Duration = .seconds(5)
  /// The age of the latest knowledge at which the directory asks about a session with sockets.
  private static let worry: Duration = .seconds(2)

  private let environment: Environment
  private let accounts: AccountsClient
  private let database: Database
  private let planted: PlantedBugs
  private let serialExecutor: ActorExecutor
  /// Sessions in the cache.
  private let maximumIdle: Int
  /// Sessions that are asked about at once.
  private let maximumRechecks: Int
  /// The cached sessions. Other actors read it without waiting.
  nonisolated let book: SessionBook
  /// Sessions that callers are asking about: the number of callers, and the number of events since
  /// then that ended the session.
  private var pending: [ChatSessionID: (askers: Int, endings: Int)] = [:]
  /// The id of the latest event of the stream.
  private var position: Int64?
  /// Opened after each event of the stream.
  private let positionChanged = Gate()
  private var isClosed = false
  private var rechecks = 0
  private var stream: EventStreamClient?
  private let onEnd: @Sendable ([SocketID], String) async -> Void
  private let onRemoval: @Sendable (PublishedAt) async -> Void
  /// The id of the event of the last deletion that was applied.
  private var lastRemoval: Int64

  nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

  /// Removes accounts that were deleted after the event `lastRemoval` and publishes the changes
  /// through `onRemoval`. `onEnd` closes sockets whose session has ended.
  init(
    _ environment: Environment, _ accounts: AccountsClient, _ database: Database,
    planted: PlantedBugs = PlantedBugs(), lastRemoval: Int64 = 0,
    onRemoval: @escaping @Sendable (PublishedAt) async -> Void = { _ in },
    onEnd: @escaping @Sendable ([SocketID], String) async -> Void
  ) {
    self.lastRemoval = lastRemoval
    self.onRemoval = onRemoval
    self.environment = environment
    self.accounts = accounts
    self.database = database
    self.planted = planted
    book = SessionBook(environment.clock, planted: planted)
    self.onEnd = onEnd
    maximumIdle = environment.limits[.idleSessions]
    maximumRechecks = environment.limits[.sessionRechecks]
    serialExecutor = environment.executor.forActor("session-directory")
  }

  nonisolated func start() {
    environment.executor.spawn("session-events") { await self.follow() }
    environment.executor.spawn("session-lease") { await self.keepLease() }
  }

  func close() async {
    isClosed = true
    stream?.close()
    await accounts.close()
  }

  // MARK: Questions

  /// The user of a session.
  /// - Throws: `ChatRefusal`.
  func user(of session: ChatSessionID, token: String?) async throws -> ChatUser {
    let needsToken = session.isGuessable
    if needsToken, token == nil { throw ChatRefusal.needsAccessToken }
    if !needsToken,
      let user = book.update({ pages, now -> ChatUser? in
        guard let known = pages.sessions[session], pages.isBelieved(known, at: now), !known.isDue(at: now),
          // Nobody asks again about a session without sockets.
          !known.isDoubtful || !known.sockets.isEmpty
        else { return nil }
        return known.user
      })
    {
      return user
    }
    pending[session, default: (0, 0)].askers += 1
    defer {
      pending[session]!.askers -= 1
      if pending[session]!.askers == 0 { pending[session] = nil }
    }
    while true {
      let begin = environment.clock.now
      let endings = pending[session]!.endings
      guard let account = try await accounts.owner(of: session, token: needsToken ? token : nil) else {
        throw ChatRefusal.noSuchSession
      }
      guard let user = try await chatUser(account) else { throw ChatRefusal.noSuchSession }
      if pending[session]!.endings > endings { continue }
      remember(session, user, verifiedAt: begin, askAgainAfter: account.askAgainAfter)
      return user
    }
  }

  /// The user of an account; nil when the account is known to be deleted. A new account gets a
  /// number.
  func chatUser(_ account: AccountsClient.Account) async throws -> ChatUser? {
    let number = try await database.transaction {
      try await ChatTables($0).users.number(of: account.id, username: account.username)
    }
    guard let number else { return nil }
    return ChatUser(number: number, account: account.id, username: account.username)
  }

  private func remember(_ session: ChatSessionID, _ user: ChatUser, verifiedAt: Instant, askAgainAfter: Duration?) {
    book.update { pages, _ in
      let isKnown: Void? = pages.change(session) { known in
        known.verifiedAt = max(known.verifiedAt, verifiedAt)
        known.isDoubtful = false
      }
      guard isKnown == nil else { return }
      let new = SessionBook.Session(user: user, verifiedAt: verifiedAt, askAgainAfter: askAgainAfter)
      pages.add(session, new, mostIdle: maximumIdle)
    }
  }

  // MARK: Sockets

  /// Adds a socket to its session. Returns false when the session has left the cache meanwhile.
  func attach(_ socket: SocketID, to session: ChatSessionID) -> Bool {
    book.update { pages, _ in pages.change(session) { $0.sockets.append(socket) } != nil }
  }

  /// Whether a socket still belongs to its session.
  func isAttached(_ socket: SocketID, to session: ChatSessionID) -> Bool {
    book.update { pages, _ in pages.sessions[session]?.sockets.contains(socket) == true }
  }

  func detach(_ socket: SocketID, from session: ChatSessionID) {
    book.update { pages, _ in
      _ = pages.change(session) {
        $0.sockets.remove(socket)
        $0.leaving.remove(socket)
      }
    }
  }

  /// Removes a session and closes its sockets.
  func end(_ session: ChatSessionID) async {
    if planted(.trustsSessionsForever) { return }
    pending[session]?.endings += 1
    let ended = book.update { pages, _ in pages.remove(session) }
    guard let ended, !ended.sockets.isEmpty else { return }
    await onEnd(ended.sockets.inOrder, "the session has ended")
  }

  /// Closes the sockets of all sessions without a lease. The sessions stay in the book, since
  /// nobody has ended them: what still arrives for them is refused as unavailable.
  func doubtAll() async {
    let doubted = book.update { pages, now in
      pages.doubtedAt = now
      return pages.takeSockets { session, pages in !pages.isBelieved(session, at: now) }
    }
    for sockets in doubted { await onEnd(sockets, "whether the session goes on cannot be known") }
  }

  /// Closes the sockets of all sessions, which stay in the book.
  func closeAll(because reason: String) async {
    for sockets in book.update({ pages, _ in pages.takeSockets { _, _ in true } }) { await onEnd(sockets, reason) }
  }

  // MARK: Events

  private func follow() async {
    while !isClosed {
      do {
        let stream = try await accounts.events(after: position)
        self.stream = stream
        defer { stream.close() }
        while let event = try await stream.next(patience: Self.streamPatience, environment.clock), !isClosed {
          try await take(event)
        }
      } catch is NodeDown {
        return
      } catch {
        environment.log.info("session-events-lost", ["error": .string("\(error)")])
      }
      stream = nil
      do { try await environment.clock.sleep(for: .milliseconds(250)) } catch { return }
    }
  }

  private func take(_ event: ServerSentEvent) async throws {
    guard let id = Int64(event.id), id >= 0 else { return }
    switch event.name {
    case "session_ended":
      let data = try? JSONParser.parse(Array(event.data.utf8))
      if let session = data?["session_id"]?.string.flatMap(ChatSessionID.init) { await end(session) }
    case "user_deleted": try await removeAccounts()
    // Events were lost, or the ids of the User Service began again.
    case "reset":
      doubtEverything()
      if id < lastRemoval { lastRemoval = 0 }
      try await removeAccounts()
      position = id
    // A stream without a position does not have the earlier events.
    case "ready":
      if position == nil { doubtEverything() }
      try await removeAccounts()
    default: break
    }
    position = max(position ?? 0, id)
    positionChanged.open()
  }

  /// Removes the accounts that were deleted since the last call, also while this service was down.
  /// When it throws, the stream is opened again and calls it first.
  private func removeAccounts() async throws {
    while case let deleted = try await accounts.deletedAccounts(after: lastRemoval),
      let last = deleted.last?.event, last > lastRemoval
    {
      for (event, account) in deleted where event > lastRemoval {
        let news = try await database.transaction { connection in
          let tables = ChatTables(connection)
          let news = try await AccountRemoval(tables: tables).remove(account)
          try await tables.users.setLastRemoval(event)
          return news
        }
        lastRemoval = event
        if let news { await onRemoval(news) }
      }
    }
  }

  /// Removes an account before the User Service deletes it. Returns what there was.
  func erase(_ account: AccountID, isTrial: Bool) async throws -> JSONValue {
    let (answer, news) = try await database.transaction {
      try await AccountRemoval(tables: ChatTables($0)).erase(account, isTrial: isTrial)
    }
    if let news { await onRemoval(news) }
    return answer
  }

  /// Marks all sessions as doubtful after events were lost. Those without sockets are asked about
  /// when they are used. They stay in the book: a socket may be on its way to one of them, and its
  /// absence would say that the session has ended.
  private func doubtEverything() {
    book.update { pages, _ in pages.doubtAll() }
    recheckSoon()
  }

  /// Asks again about sessions with sockets that are doubtful, whose latest knowledge is old, or
  /// which would expire at the User Service.
  private func recheckSoon() {
    guard rechecks == 0 else { return }
    let ids = book.update { pages, now in
      pages.sessions.filter { _, session in
        !session.sockets.isEmpty
          && (session.isDoubtful || now - pages.knownAt(session) > Self.worry || session.isDue(at: now))
      }.keys.sorted()
    }
    for lane in 0..<min(maximumRechecks, ids.count) {
      rechecks += 1
      environment.executor.spawn("session-recheck") { await self.recheck(ids, from: lane) }
    }
  }

  /// Asks about one lane's share of the sessions. When a question fails, the rest is left for the
  /// next time; sessions whose lease runs out before are closed.
  private func recheck(_ ids: [ChatSessionID], from lane: Int) async {
    defer { rechecks -= 1 }
    for id in stride(from: lane, to: ids.count, by: maximumRechecks).map({ ids[$0] })
    where book.update({ pages, _ in pages.sessions[id] != nil }) {
      let begin = environment.clock.now
      let owner: AccountsClient.Account?
      do { owner = try await accounts.owner(of: id, token: nil) } catch { return }
      if owner == nil {
        await end(id)
      } else if let session = book.update({ pages, _ in pages.sessions[id] }) {
        remember(id, session.user, verifiedAt: begin, askAgainAfter: session.askAgainAfter)
      }
    }
  }

  private func keepLease() async {
    var renewal: Instant = environment.clock.now
    while !isClosed {
      if environment.clock.now >= renewal {
        renewal = environment.clock.now + .seconds(1)
        environment.executor.spawn("lease-renewal") { await self.renewLease() }
      }
      await doubtAll()
      recheckSoon()
      do { try await environment.clock.sleep(for: SessionBook.doubtInterval) } catch { return }
    }
  }

  private func renewLease() async {
    let begin = environment.clock.now
    guard let last = try? await accounts.lastEvent() else { return }
    // The stream may be a moment late.
    while (position ?? -1) < last {
      guard await positionChanged.wait(until: begin + .seconds(2), in: environment) else {
        // The stream is stuck. Open a new one at the same position.
        stream?.close()
        return
      }
    }
    book.update { pages, _ in pages.leasedAt = max(pages.leasedAt ?? begin, begin) }
  }
}
