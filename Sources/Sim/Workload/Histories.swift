/// Everything that the users of a run did and saw.
struct Histories {
  let tally: Tally
  let log: CallLog
  let accounts: AccountHistory
  let chat: ChatHistory
  let sessions: SessionHistory
  let callers: CallerHistory

  /// `now` is virtual time in nanoseconds, `wall` the wall clock of the User Service in seconds.
  init(now: @escaping () -> Int64, wall: @escaping () -> Int64) {
    tally = Tally(now: now)
    log = CallLog(now: now)
    accounts = AccountHistory(now: now, wall: wall)
    chat = ChatHistory(now: now)
    sessions = SessionHistory(now: now)
    callers = CallerHistory(now: now)
  }
}
