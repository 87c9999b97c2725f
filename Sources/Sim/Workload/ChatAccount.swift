/// A user's account at the Chat Service, as its devices and its client share it.
final class ChatAccount {
  let user: UserState
  let history: ChatHistory
  let directory: ChatDirectory
  /// The user id; it changes when the account is deleted and registered again.
  private(set) var id: Int64 = 0

  init(_ user: UserState, history: ChatHistory, directory: ChatDirectory) {
    self.user = user
    self.history = history
    self.directory = directory
  }

  /// Notes the user id that a login returned.
  func loggedIn(as id: Int64) {
    self.id = id
    history.note(id, of: user.name)
    directory.users[user.name] = id
  }
}

/// The knowledge that the users of the Chat Service share.
final class ChatDirectory {
  let rendezvous = Rendezvous()
  /// The user ids by name, once they are known.
  var users: [String: Int64] = [:]
  var groups: [(id: Int64, creator: String)] = []
  /// Groups that nobody writes to any more. Their messages can still be read.
  var abandoned: [Int64] = []
  /// Users with a new account, each with a friend that has to add it again.
  var requests: [(asker: String, asked: String)] = []
  /// Users who have left a group and may be added again, with the number of failed attempts.
  var formerMembers: [(name: String, group: Int64, attempts: Int)] = []

  func noteFormerMember(_ name: String, of group: Int64) {
    guard !formerMembers.contains(where: { $0.name == name && $0.group == group }) else { return }
    formerMembers.append((name, group, 0))
  }
}
