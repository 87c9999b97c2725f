/// The observations of the users of the Chat Service in a run, and conclusions from them.
struct ChatEvidence {
  let sendings: [Sending]
  let changes: [Change]
  let sockets: [ChatSocketRecord]
  /// The sockets as their users see them: recovered ones and those that they go on from are one
  /// that was there all the time.
  let listeners: [ChatSocketRecord]
  let readings: [Reading]
  let presence: [FinalPresence]
  let calls: [ServiceCall]
  let typings: [Typing]
  let acknowledged: [(line: Int, position: Int, content: String)]
  let endedSessions: [String: Int64]
  let isOnlineAtEnd: [Int64: Bool]
  let lastContacts: [(person: String, other: Int64)]
  /// The user ids that one name has had, for each name that has had several. All but the last are
  /// deleted.
  let replaced: [[Int64]]
  /// Times at which a fault may explain a 503, in nanoseconds.
  let disturbances: [ClosedRange<Int64>]
  /// Times at which the network delayed segments between the Chat Service and the User Service.
  let delays: [ClosedRange<Int64>]
  /// The sendings by their content, which is unique.
  let sendingByContent: [String: Sending]
  let membership: MembershipModel
  /// Every sight of a message, with the user that saw it and how.
  let sights: [(fact: MessageFact, user: Int64, how: String)]

  init(_ history: ChatHistory, disturbances: [ClosedRange<Int64>] = [], delays: [ClosedRange<Int64>] = []) {
    self.delays = delays
    sendings = history.sendings
    changes = history.changes
    sockets = history.sockets
    listeners = Self.joined(history.sockets)
    readings = history.readings
    presence = history.presence
    calls = history.calls
    typings = history.typings
    acknowledged = history.acknowledged
    endedSessions = history.endedSessions
    isOnlineAtEnd = history.isOnlineAtEnd
    lastContacts = history.lastContacts
    replaced = history.accounts.sorted { $0.key < $1.key }.map(\.value).filter { $0.count > 1 }
    membership = MembershipModel(history.changes, replaced: replaced)
    self.disturbances = disturbances
    sendingByContent = Dictionary(history.sendings.map { ($0.content, $0) }, uniquingKeysWith: { first, _ in first })
    sights =
      history.sockets.flatMap { socket in socket.heard.map { ($0.fact, socket.user, "\(socket.person) received") } }
      + history.readings.flatMap { reading in reading.facts.map { ($0, reading.user, "\(reading.person) read") } }
  }

  /// Each recovered socket in one record with those that it goes on from.
  private static func joined(_ sockets: [ChatSocketRecord]) -> [ChatSocketRecord] {
    guard sockets.contains(where: { $0.resumes != nil }) else { return sockets }
    var joined = sockets
    var isContinued = sockets.map { _ in false }
    for (index, socket) in sockets.enumerated() {
      guard let former = socket.resumes else { continue }
      isContinued[former] = true
      var whole = joined[former]
      whole.ended = socket.ended
      whole.heard += socket.heard
      whole.presence += socket.presence
      whole.offsets += socket.offsets
      joined[index] = whole
    }
    return joined.indices.filter { !isContinued[$0] }.map { joined[$0] }
  }

  /// Whether a fault or a delay of the network overlaps a time.
  func isDisturbed(from: Int64, to: Int64) -> Bool {
    (disturbances + delays).contains { $0.lowerBound <= to && from <= $0.upperBound }
  }
}
