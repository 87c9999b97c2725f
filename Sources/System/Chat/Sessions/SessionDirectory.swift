import Environment

/// Whose the sessions are: asked of the User Service, kept for a moment, and forgotten as soon as they end.
///
/// What is kept is only believed while a *lease* runs. Once a second the directory asks for the id of the last session event; when
/// the stream of events has come as far, every session that had ended when the question was asked is known here, and the lease
/// begins anew at that time. Without a lease nothing is believed, and the sockets that stand on it are closed: so no ended session
/// lives for longer than the contract's 5 s, whatever has failed. While events do not come and answers do, each session that has
/// sockets is asked about by itself before its time is up.
actor SessionDirectory {
  /// Sessions that are kept without sockets on them; beyond, all of those are forgotten.
  static let maximumIdle = 50_000
  /// The stream shows a sign of life every 2 s.
  private static let streamPatience: Duration = .seconds(5)
  /// A session with sockets of which nothing was known for so long is asked about.
  private static let worry: Duration = .seconds(2)
  /// How many of them are asked about at once.
  private static let maximumRechecks = 8

  private let environment: Environment
  private let accounts: AccountsClient
  private let database: Database
  private let serialExecutor: ActorExecutor
  /// What is known now; to be read without waiting, too.
  nonisolated let book: SessionBook
  /// Sessions that are being asked about: by how many, and how often they were said to have ended meanwhile.
  private var pending: [ChatSessionID: (askers: Int, endings: Int)] = [:]
  private var position: Int64?
  private var isClosed = false
  private var rechecks = 0
  private var stream: EventStreamClient?
  private let onEnd: @Sendable ([SocketID], String) async -> Void
  private let onRemoval: @Sendable (PublishedAt) async -> Void
  /// The event of the last deletion that the database knows of.
  private var lastRemoval: Int64

  nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

  /// Removes accounts that were deleted after the event `lastRemoval`, and tells what follows from it by `onRemoval`. `onEnd`
  /// closes sockets whose session has ended.
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
    book = SessionBook(environment.clock, planted: planted)
    self.onEnd = onEnd
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

  // MARK: Asking

  /// Whose a session is.
  /// - Throws: `ChatRefusal`.
  func user(of session: ChatSessionID, token: String?) async throws -> ChatUser {
    let needsToken = session.isGuessable
    if needsToken, token == nil { throw ChatRefusal.needsAccessToken }
    if !needsToken, let known = book.sessions[session], book.isBelieved(known), !book.isDue(known) {
      return known.user
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

  /// The user of an account, numbered when it is met first; nil when the account is known to be deleted.
  func chatUser(_ account: AccountsClient.Account) async throws -> ChatUser? {
    let number = try await database.transaction {
      try ChatTables($0).users.number(of: account.id, username: account.username)
    }
    guard let number else { return nil }
    return ChatUser(number: number, account: account.id, username: account.username)
  }

  private func remember(_ session: ChatSessionID, _ user: ChatUser, verifiedAt: Instant, askAgainAfter: Duration?) {
    if book.sessions[session] != nil {
      book.sessions[session]!.verifiedAt = max(book.sessions[session]!.verifiedAt, verifiedAt)
      book.sessions[session]!.isDoubtful = false
      return
    }
    if book.sessions.count >= Self.maximumIdle { book.sessions = book.sessions.filter { !$0.value.sockets.isEmpty } }
    book.sessions[session] = SessionBook.Session(user: user, verifiedAt: verifiedAt, askAgainAfter: askAgainAfter)
  }

  // MARK: Sockets

  /// Ties a socket to its session; false when that has ended meanwhile.
  func attach(_ socket: SocketID, to session: ChatSessionID) -> Bool {
    guard book.sessions[session] != nil else { return false }
    book.sessions[session]!.sockets.append(socket)
    return true
  }

  /// Whether a socket is still tied to its session.
  func isAttached(_ socket: SocketID, to session: ChatSessionID) -> Bool {
    book.sessions[session]?.sockets.contains(socket) == true
  }

  func detach(_ socket: SocketID, from session: ChatSessionID) {
    book.sessions[session]?.sockets.remove(socket)
  }

  /// Forgets a session and closes its sockets.
  func end(_ session: ChatSessionID) async {
    if book.planted(.trustsSessionsForever) { return }
    pending[session]?.endings += 1
    guard let ended = book.sessions.removeValue(forKey: session), !ended.sockets.isEmpty else { return }
    await onEnd(ended.sockets.inOrder, "the session has ended")
  }

  /// Closes the sockets of all sessions that are no longer believed.
  func doubtAll() async {
    book.doubtedAt = environment.clock.now
    let doubted = book.sessions.filter { !book.isBelieved($0.value) }
    for id in doubted.keys.sorted() {
      book.sessions[id] = nil
      if !doubted[id]!.sockets.isEmpty {
        await onEnd(doubted[id]!.sockets.inOrder, "whether the session goes on cannot be known")
      }
    }
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
    case "reset":
      doubtEverything()
      if id < lastRemoval { lastRemoval = 0 }
      try await removeAccounts()
      // The ids may have begun anew.
      position = id
    // A stream that begins now tells nothing of what ended before.
    case "ready":
      if position == nil { doubtEverything() }
      try await removeAccounts()
    default: break
    }
    position = max(position ?? 0, id)
  }

  /// Removes the accounts that were deleted since somebody looked last, while this service was down too. When that fails, the
  /// stream is opened again, and begins with it.
  private func removeAccounts() async throws {
    while case let deleted = try await accounts.deletedAccounts(after: lastRemoval),
      let last = deleted.last?.event, last > lastRemoval
    {
      for (event, account) in deleted where event > lastRemoval {
        let news = try await database.transaction { connection in
          let tables = ChatTables(connection)
          let news = try AccountRemoval(tables: tables).remove(account)
          try tables.users.setLastRemoval(event)
          return news
        }
        lastRemoval = event
        if let news { await onRemoval(news) }
      }
    }
  }

  /// Some events will not come, and with them what they would have ended.
  private func doubtEverything() {
    book.sessions = book.sessions.filter { !$0.value.sockets.isEmpty }
    for id in book.sessions.keys.sorted() { book.sessions[id]!.isDoubtful = true }
    recheckSoon()
  }

  /// Asks again about the sessions that are in doubt, and those with sockets of which nothing was heard for long, or that
  /// the User Service would end as unused.
  private func recheckSoon() {
    guard rechecks == 0 else { return }
    let now = environment.clock.now
    let ids = book.sessions.filter { _, session in
      session.isDoubtful
        || !session.sockets.isEmpty && (now - book.knownAt(session) > Self.worry || book.isDue(session))
    }.keys.sorted()
    for lane in 0..<min(Self.maximumRechecks, ids.count) {
      rechecks += 1
      environment.executor.spawn("session-recheck") { await self.recheck(ids, from: lane) }
    }
  }

  /// One lane's share of the questions. When nobody answers, what is left is asked next time, or closed when its time is up.
  private func recheck(_ ids: [ChatSessionID], from lane: Int) async {
    defer { rechecks -= 1 }
    for id in stride(from: lane, to: ids.count, by: Self.maximumRechecks).map({ ids[$0] })
    where book.sessions[id] != nil {
      let begin = environment.clock.now
      let owner: AccountsClient.Account?
      do { owner = try await accounts.owner(of: id, token: nil) } catch { return }
      if owner == nil {
        await end(id)
      } else if let session = book.sessions[id] {
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
    // The stream may be a moment behind.
    while (position ?? -1) < last {
      guard environment.clock.now - begin < .seconds(2) else {
        // It is not coming: begin a new one, where the old one stopped.
        stream?.close()
        return
      }
      do { try await environment.clock.sleep(for: .milliseconds(50)) } catch { return }
    }
    book.leasedAt = max(book.leasedAt ?? begin, begin)
  }
}
