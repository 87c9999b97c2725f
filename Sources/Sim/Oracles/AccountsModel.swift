import Simulation

/// The accounts of the User Service as a sequential model, written independently of the service.
enum AccountsModel: SequentialModel {
  struct User: Hashable {
    let email: String
    let username: String
    var password: String
    var isDisabled = false
    /// Known from the first login.
    var subject: String?
  }

  typealias State = [User]

  enum Input {
    /// `succeeded` is nil if no answer came.
    case register(email: String, username: String, password: String, succeeded: Bool?)
    /// `subject` is that of the tokens, or nil for 401.
    case login(user: String, password: String, subject: String?)
    case delete(subject: String, succeeded: Bool?)
    /// An operator's request. `succeeded` is false for 404.
    case operate(OperatorAction, subject: String, password: String?, succeeded: Bool?)
  }

  static let initial: State = []

  static func step(_ state: State, _ input: Input) -> State? {
    switch input {
    case .register(let email, let username, let password, let succeeded):
      let isTaken = state.contains { $0.email == email || $0.username == username }
      if succeeded == false { return isTaken ? state : nil }
      if isTaken { return succeeded == nil ? state : nil }
      return (state + [User(email: email, username: username, password: password)]).sorted { $0.username < $1.username }
    case .login(let user, let password, let subject):
      let index = state.firstIndex {
        ($0.email == user || $0.username == user) && $0.password == password && !$0.isDisabled
      }
      guard let subject else { return index == nil ? state : nil }
      guard let index else { return nil }
      if let known = state[index].subject { return known == subject ? state : nil }
      if state.contains(where: { $0.subject == subject }) { return nil }
      var next = state
      next[index].subject = subject
      return next
    case .delete(let subject, let succeeded):
      let index = state.firstIndex { $0.subject == subject }
      if succeeded == false { return index == nil ? state : nil }
      guard let index else { return succeeded == nil ? state : nil }
      var next = state
      next.remove(at: index)
      return next
    case .operate(let action, let subject, let password, let succeeded):
      let index = state.firstIndex { $0.subject == subject }
      if succeeded == false { return index == nil ? state : nil }
      guard let index else { return succeeded == nil ? state : nil }
      var next = state
      if action == .disable { next[index].isDisabled = true }
      if action == .enable { next[index].isDisabled = false }
      if let password { next[index].password = password }
      return next
    }
  }
}

/// A sequential model of one session id.
enum SessionModel: SequentialModel {
  struct State: Hashable {
    var owner: String?
    var deleted: [String] = []
  }

  enum Input {
    case add(subject: String, succeeded: Bool?)
    case delete(subject: String, succeeded: Bool?)
    /// `holds` says whether the user's list had the session.
    case list(subject: String, holds: Bool)
    case deleteUser(subject: String, succeeded: Bool?)
    /// An operator ends all sessions of a user, who may have none.
    case endAll(subject: String, succeeded: Bool?)
  }

  static let initial = State()

  static func step(_ state: State, _ input: Input) -> State? {
    var next = state
    let could: Bool
    let answered: Bool?
    switch input {
    case .add(let subject, let succeeded):
      could = state.owner == nil && !state.deleted.contains(subject)
      answered = succeeded
      next.owner = subject
    case .delete(let subject, let succeeded):
      could = state.owner == subject
      answered = succeeded
      next.owner = nil
    case .list(let subject, let holds):
      return !state.deleted.contains(subject) && (state.owner == subject) == holds ? state : nil
    case .deleteUser(let subject, let succeeded):
      could = !state.deleted.contains(subject)
      answered = succeeded
      if state.owner == subject { next.owner = nil }
      next.deleted = (state.deleted + [subject]).sorted()
    case .endAll(let subject, let succeeded):
      could = !state.deleted.contains(subject)
      answered = succeeded
      if state.owner == subject { next.owner = nil }
    }
    if answered == false { return could ? nil : state }
    if could { return next }
    return answered == nil ? state : nil
  }
}
