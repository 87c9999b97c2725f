import Environment
import System

/// The messages of a chat user: it sends each from one of its devices until it is acknowledged.
final class ChatOutbox {
  var devices: [ChatDevice] = []
  private let account: ChatAccount
  private var nextMessage = 0
  /// The last messages that were sent, oldest first.
  private var sent: [Sending] = []

  private var user: UserState { account.user }
  private var history: ChatHistory { account.history }
  private static let mostAttempts = 4
  private static let mostSent = 8

  init(_ account: ChatAccount) { self.account = account }

  /// A connected device, if there is one.
  func connectedDevice() -> ChatDevice? {
    user.stream.pickAny(of: devices.filter(\.isConnected))
  }

  /// Forgets what was sent, since the account is a new one.
  func forget() { sent = [] }

  /// Sends a new message, if `isTwice` from two devices at once.
  func send(to conversation: Conversation, isTwice: Bool = false, _ environment: Environment) async throws {
    nextMessage += 1
    let content = "\(user.name)/\(nextMessage)"
    var sending = Sending(
      person: user.name, sender: account.id, conversation: conversation, content: content, clientID: content,
      interval: history.begin())
    let index = history.sendings.count
    history.sendings.append(sending)
    if isTwice { try await attemptTwice(&sending) }
    for _ in 0..<Self.mostAttempts where sending.acknowledgements.isEmpty && sending.refusal == nil {
      if try await attempt(&sending) { break }
      user.tally.count(.resends)
      try await user.pause(mean: .milliseconds(700), environment)
      history.sendings[index] = sending
    }
    history.end(&sending.interval)
    history.sendings[index] = sending
    sent.append(sending)
    if sent.count > Self.mostSent { sent.removeFirst() }
    let result = sending.isAcknowledged ? "stored" : sending.refusal ?? "no answer"
    user.lastSeen = "\(content) to \(conversation): \(result)"
  }

  /// Two devices send the same message at once, as when both have it in their outbox.
  private func attemptTwice(_ sending: inout Sending) async throws {
    var other = sending
    let connected = devices.filter(\.isConnected)
    guard connected.count > 1 else { return }
    user.tally.count(.doubleSends)
    let (outbox, device, copy) = (Confined(self), Confined(connected[0]), sending)
    async let first = outbox.value.attempted(copy, from: device.value)
    _ = try await attempt(&other, from: connected[1])
    let answers = [try await first, other]
    sending.acknowledgements = answers.flatMap(\.acknowledgements)
    sending.accepted = answers.flatMap(\.accepted)
    sending.refusal = sending.isAcknowledged ? nil : answers.compactMap(\.refusal).first
    sending.hasUnknown = answers.contains(where: \.hasUnknown)
  }

  private func attempted(_ sending: Sending, from device: ChatDevice) async throws -> Sending {
    var sending = sending
    _ = try await attempt(&sending, from: device)
    return sending
  }

  /// Sends a message once; true if it was answered.
  private func attempt(_ sending: inout Sending, from device: ChatDevice? = nil) async throws -> Bool {
    let isAlone = device == nil
    guard let device = device ?? connectedDevice(), let session = device.socket.session else { return false }
    let recipient: Int64
    let isGroup: Bool
    switch sending.conversation {
    case .direct(let a, let b): (recipient, isGroup) = (a == account.id ? b : a, false)
    case .group(let id): (recipient, isGroup) = (id, true)
    }
    user.tally.count(.messages)
    // Only a first attempt tells when the message was sent.
    let line = isAlone && sending.acknowledgements.isEmpty && !sending.hasUnknown ? device.socket.record : nil
    var call = ServiceCall(person: user.name, what: "send_message \"\(sending.content)\"", interval: history.begin())
    let answer = try await device.socket.call(
      "send_message",
      [
        "sessionID": .string(session), "recipient_id": .int(recipient), "content": .string(sending.content),
        "is_group": .bool(isGroup), "client_id": .string(sending.clientID),
      ], patience: user.behavior.patience)
    guard let answer else {
      sending.hasUnknown = true
      return false
    }
    if answer["status"] == "ok", let id = answer["message_id"]?.int, let sequence = answer["seq"]?.int {
      user.tally.count(.messagesStored)
      if isGroup { user.tally.count(.groupMessagesStored) }
      sending.acknowledgements.append(
        Acknowledgement(id: id, sequence: sequence, timestamp: answer["timestamp"]?.string ?? ""))
      sending.accepted.append((session, call.interval.invokedAt))
      if let line { history.acknowledged.append((line, call.interval.invoked, sending.content)) }
      return true
    }
    let message = answer["message"]?.string ?? "no reason"
    let isUnavailable = message.hasSuffix("not available")
    if isUnavailable || message == "internal error" {
      history.end(&call.interval)
      call.status = message == "internal error" ? 500 : 503
      history.calls.append(call)
    }
    if isUnavailable || message.hasSuffix("stopping") || message.hasSuffix("no such session") {
      // The message may have been stored all the same.
      sending.hasUnknown = true
      return false
    }
    sending.refusal = message
    user.tally.count(.messagesRefused)
    return true
  }

  /// Sends an acknowledged message once more. The answer has to be the same.
  func repeatMessage() async throws {
    let known = sent.filter(\.isAcknowledged)
    guard !known.isEmpty else { return }
    var again = user.stream.pick(known)
    guard let index = history.sendings.firstIndex(where: { $0.clientID == again.clientID && $0.person == user.name })
    else { return }
    user.tally.count(.resends)
    let before = again.acknowledgements.count
    _ = try await attempt(&again)
    if again.acknowledgements.count > before {
      history.sendings[index].acknowledgements.append(again.acknowledgements.last!)
      history.sendings[index].accepted.append(again.accepted.last!)
    }
  }
}
