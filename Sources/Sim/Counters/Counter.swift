/// An event that a run counts. A scenario can demand how often it happens.
public enum Counter: String, CaseIterable, Sendable {
  case requests, successes, conflicts, unauthorized, throttled, unavailable
  case unanswered, retries, refused
  case crashes
  case crashesInCommit = "crashes-in-commit"
  case failedStarts = "failed-starts"
  case restarts, pauses, drains, resets, partitions
  case diskErrors = "disk-errors"
  case diskFull = "disk-full"
  case bitRot = "bit-rot"
  /// Statements, commits and connections that a fault of the database failed.
  case databaseErrors = "database-errors"
  case clockJumps = "clock-jumps"
  case cutOffs = "cut-offs"
  case requestTimeouts = "request-timeouts"
  case slowRequests = "slow-requests"
  case refreshRaces = "refresh-races"
  case refreshReplays = "refresh-replays"
  case deadTokens = "dead-tokens"
  case expiredTokens = "expired-tokens"
  case deletedUsers = "deleted-users"
  /// Accounts that operators erased in all services.
  case erasedUsers = "erased-users"
  case sockets, upgrades, messages, resends, blocks, logouts, readings, takeovers, trespasses, stalls
  case socketsRefused = "sockets-refused"
  case socketsClosed = "sockets-closed"
  /// Sockets that went on where a former one of their device had ended.
  case recoveries
  case messagesStored = "messages-stored"
  case messagesRefused = "messages-refused"
  case messagesHeard = "messages-heard"
  case presenceHeard = "presence-heard"
  case typingHeard = "typing-heard"
  case doubleSends = "double-sends"
  case sessionsServed = "sessions-served"
  case sessionRaces = "session-races"
  case memberChanges = "member-changes"
  case groupMessagesStored = "group-messages-stored"
  /// Users who began to act several times at once.
  case bursts
  /// Steps of a protocol that were taken twice, early, late or out of turn.
  case rudeSteps = "rude-steps"
  /// Messages that no service can read.
  case poison
  /// Messages that workers worked off, repetitions included.
  case worked
  /// Users of supervised sessions who left for good.
  case departures
  /// Steps that attackers sent.
  case attacks
  /// Keys whose history the model of the contract judged: two users, a group.
  case decided
  /// Keys whose history the model could not decide.
  case notDecided = "not-decided"
  /// Steps of callers.
  case calls
  /// Accounts that operators disabled, enabled or revoked, or gave a new password.
  case accountOperations = "account-operations"
  /// Dead letters that operators replayed or dropped.
  case lettersTreated = "letters-treated"
  /// Certificates that services got while they ran.
  case renewals
}
