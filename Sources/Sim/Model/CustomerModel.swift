import Simulation

/// The session of one customer as a sequential model.
///
/// The rules are those of section 3 of the contract; `docs/model.md` names the sentence of each.
enum CustomerModel: SequentialModel {
  enum Stage: Hashable, Sendable { case idle, pending, running }

  struct State: Hashable {
    var stage = Stage.idle
    /// The token of the session; nil while no customer has seen it.
    var token: String?
    /// When the session was requested, or earlier, in nanoseconds.
    var requestedAt: Int64 = 0

    /// Whether a request has a session before it at a time: a pending one lapses.
    func mayBeVoid(at time: Int64) -> Bool {
      stage == .idle || stage == .pending && time - requestedAt >= CustomerModel.lifetime
    }
  }

  /// A call with the times of its request and its answer, in nanoseconds.
  struct Times: Hashable, Sendable {
    let invokedAt: Int64
    let answeredAt: Int64
  }

  enum Input: Sendable {
    /// A request for a session that was accepted with this token.
    case accept(String, Times)
    /// A request without an answer.
    case request(Times)
    /// A request that was refused, since the session of this token is pending or running.
    case exists(String?, Times)
    /// A supervisor has taken the session, or may have.
    case run(isSure: Bool, Times)
    /// No supervisor took the session in time. It is pending.
    case fail(Times)
    /// No session is pending. `mayBeInitializing`: another call may be waiting for a supervisor.
    case notPending(mayBeInitializing: Bool, Times)
    /// A command of the running session with this token took effect.
    case command(String, isEnd: Bool)
    /// The end was requested, and no answer came.
    case end(String)
    /// The token was refused.
    case wrongToken(String)
    /// No session is running.
    case notRunning
    /// The status, as the service tells it.
    case status(Stage, Times)
  }

  static let initial = State()
  /// The time in which a pending request lapses, in nanoseconds.
  static let lifetime: Int64 = 600_000_000_000

  static func step(_ state: State, _ input: Input) -> State? {
    switch input {
    case .accept(let token, let times):
      guard state.mayBeVoid(at: times.answeredAt) else { return nil }
      return State(stage: .pending, token: token, requestedAt: times.invokedAt)
    case .request(let times):
      guard state.mayBeVoid(at: times.answeredAt) else { return state }
      return State(stage: .pending, token: nil, requestedAt: times.invokedAt)
    case .exists(let token, _):
      guard state.stage != .idle, let token, state.token == nil || state.token == token else { return nil }
      var next = state
      next.token = token
      return next
    case .run(let isSure, _):
      guard state.stage == .pending else { return isSure ? nil : state }
      var next = state
      next.stage = .running
      return next
    case .fail: return state.stage == .pending ? state : nil
    case .notPending(let mayBeInitializing, let times):
      return state.stage == .running || mayBeInitializing || state.mayBeVoid(at: times.answeredAt) ? state : nil
    case .command(let token, let isEnd):
      guard state.stage == .running, state.token == token else { return nil }
      return isEnd ? State() : state
    case .end(let token): return state.stage == .running && state.token == token ? State() : state
    case .wrongToken(let token): return state.stage != .idle && state.token != token ? state : nil
    case .notRunning: return state.stage == .running ? nil : state
    case .status(let stage, let times):
      return stage == state.stage || stage == .idle && state.mayBeVoid(at: times.answeredAt) ? state : nil
    }
  }
}
