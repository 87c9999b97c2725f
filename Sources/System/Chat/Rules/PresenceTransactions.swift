import Environment

/// The rules of presence, within one transaction.
struct PresenceTransactions {
  let tables: ChatTables

  /// What the friends of a user are told about the first or the last socket.
  func status(of user: ListedUser, isOnline: Bool) async throws(DatabaseError) -> Publication {
    let friends = try await tables.contacts.friends(of: user.number)
    return Publication(ChatEventTable.userStatus, ChatPayload.presence(user, isOnline: isOnline), to: friends)
  }

  /// Removes the sockets of earlier lives of this node. Nobody is connected who could be told, but
  /// clients that recover are told later that the users of these sockets were gone.
  func removeAll(exceptOf life: String, at now: Timestamp) async throws(DatabaseError) {
    let isTold = try await tables.recoveries.mayComeBack(at: now)
    let gone = isTold ? try await tables.sockets.online(exceptOf: life) : []
    try await tables.sockets.removeAll(exceptOf: life)
    try await tables.recoveries.closeGone(at: now)
    var publications: [Publication] = []
    for user in gone {
      let listed = ListedUser(number: user, username: try await tables.users.username(of: user))
      publications.append(try await status(of: listed, isOnline: false))
    }
    if !publications.isEmpty { _ = try await tables.publications.publish(publications) }
  }

  /// Removes some sockets of a dead node, at most `limit`, and its row after the last one. Returns
  /// whether all are removed, and what the friends of those who are gone are told.
  func removeSome(
    of life: String, limit: Int, at now: Timestamp
  ) async throws(DatabaseError) -> (isDone: Bool, news: PublishedAt?) {
    try await tables.recoveries.closeSome(of: life, limit: limit, at: now)
    let (count, last) = try await tables.sockets.removeSome(of: life, limit: limit)
    var publications: [Publication] = []
    for (user, namespace) in last {
      if namespace == UserServer.namespace {
        try await tables.departures.insert(user, try await tables.sockets.lastConnection(of: user))
      } else {
        let listed = ListedUser(number: user, username: try await tables.users.username(of: user))
        publications.append(try await status(of: listed, isOnline: false))
      }
    }
    let isDone = count < limit
    if isDone { try await tables.nodes.removeEmpty(life) }
    return (isDone, publications.isEmpty ? nil : try await tables.publications.publish(publications))
  }
}
