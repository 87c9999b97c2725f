import Environment
import System

/// A device of a chat user: a socket whose messages are written down.
final class ChatDevice: SocketOwner {
  private let account: ChatAccount
  private let environment: Environment
  private(set) lazy var socket = ReconnectingSocket(
    of: self, account.user,
    .init(
      namespace: "/", pause: .milliseconds(800), opening: [.connectTwice, .speakEarly, .connectAndLeave],
      connected: RudeStep.whileConnected, closing: [.leaveTwice]),
    history: account.history, rendezvous: account.directory.rendezvous, environment)

  /// The record of the last connection.
  private var last: Int?

  private var history: ChatHistory { account.history }
  private var tally: Tally { account.user.tally }

  init(_ account: ChatAccount, _ environment: Environment) {
    self.account = account
    self.environment = environment
    let chance = account.user.behavior.recover
    // Without such devices nothing is drawn.
    if chance > 0 { socket.recovers = account.user.stream.chance(chance) }
  }

  var isConnected: Bool { socket.isConnected }

  // MARK: Events of the socket

  var userID: Int64 { account.id }

  func socketConnected(_ attempt: ReconnectingSocket.Attempt) async -> ReconnectingSocket.Admission {
    if socket.isClosing { return .ignored }
    tally.count(.sockets)
    if attempt.transport == .upgrading { tally.count(.upgrades) }
    history.sockets.append(
      ChatSocketRecord(
        person: account.user.name, user: attempt.user, session: attempt.session, begunAt: attempt.begunAt,
        connected: history.next(), connectedAt: history.time, asksForRecovery: socket.recovers,
        resumes: socket.isRecovered ? last : nil))
    if socket.isRecovered { tally.count(.recoveries) }
    let record = history.sockets.count - 1
    last = record
    return .stays(record: record)
  }

  func socketReceived(_ event: String, _ data: JSONValue, record: Int?) {
    guard let record else { return }
    switch event {
    case "new_message":
      tally.count(.messagesHeard)
      if let fact = MessageFact(data) { history.sockets[record].heard.append((history.next(), history.time, fact)) }
    case "user_status":
      tally.count(.presenceHeard)
      history.sockets[record].presence.append(
        (history.next(), data["user_id"]?.int ?? 0, data["status"] == "online"))
    case "typing":
      tally.count(.typingHeard)
      history.sockets[record].typing.append((history.next(), data["sender_id"]?.int ?? 0))
    default: break
    }
  }

  func socketReceived(_ event: String, offset: String?, record: Int) {
    guard socket.recovers || offset != nil else { return }
    history.sockets[record].offsets.append((history.time, event, offset))
  }

  func socketRefused(_ message: String?, _ attempt: ReconnectingSocket.Attempt) {
    guard let message else { return tally.count(.socketsClosed) }
    tally.count(.socketsRefused)
    if message == "no such session", socket.session == attempt.session { socket.session = nil }
  }

  func socketEnded(record: Int) { history.sockets[record].ended = history.next() }
}
