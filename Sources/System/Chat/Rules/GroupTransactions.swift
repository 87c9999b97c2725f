/// The rules of groups, within one transaction.
struct GroupTransactions {
  let tables: ChatTables

  /// Creates a group. The creator becomes its admin.
  func create(_ name: String, by creator: UserNumber, members: [UserNumber]) async throws -> GroupID {
    for member in members + [creator] { try await requireMayAdd(member, by: creator) }
    let id = try await tables.groups.create(name)
    let first = SequenceNumber(1)
    try await tables.groups.join(id, creator, isAdmin: true, from: first)
    for member in members where member != creator {
      try await tables.groups.join(id, member, isAdmin: false, from: first)
    }
    return id
  }

  /// Requires that a user is a member. For anybody else the group does not exist.
  @discardableResult
  func requireMember(_ user: UserNumber, of group: GroupID) async throws -> GroupRole {
    guard let role = try await tables.groups.role(of: user, in: group) else { throw ChatRefusal.noSuchGroup }
    return role
  }

  /// Adds a member. Only an admin may do so.
  func add(_ user: UserNumber, to group: GroupID, by admin: UserNumber) async throws {
    guard try await requireMember(admin, of: group) == .admin else { throw ChatRefusal.notAdmin }
    guard try await tables.groups.role(of: user, in: group) == nil else { throw ChatRefusal.alreadyMember }
    try await requireMayAdd(user, by: admin)
    try await tables.groups.join(group, user, isAdmin: false, from: try await lastSequence(group).next)
  }

  /// Removes a member. An admin removes anybody, a member only itself.
  func remove(_ user: UserNumber, from group: GroupID, by remover: UserNumber) async throws {
    let role = try await requireMember(remover, of: group)
    guard role == .admin || user == remover else { throw ChatRefusal.notAdmin }
    guard try await tables.groups.role(of: user, in: group) != nil else { throw ChatRefusal.notMember }
    try await tables.groups.leave(group, user, after: try await lastSequence(group))
  }

  /// Nobody is added to a group by a user whom they have blocked, or who has blocked them.
  private func requireMayAdd(_ member: UserNumber, by adder: UserNumber) async throws {
    if try await tables.users.isRemoved(member) { throw ChatRefusal.userRemoved }
    if try await tables.contacts.contact(member, adder)?.status == .blocked { throw ChatRefusal.blockedMember }
  }

  private func lastSequence(_ group: GroupID) async throws(DatabaseError) -> SequenceNumber {
    try await tables.messages.lastSequence(of: .group(group))
  }

  /// All groups of a user, oldest membership first.
  func views(of user: UserNumber) async throws(DatabaseError) -> [GroupView] {
    var groups: [GroupView] = []
    for id in try await tables.groups.ids(of: user) { groups.append(try await tables.groups.view(id)) }
    return groups
  }
}
