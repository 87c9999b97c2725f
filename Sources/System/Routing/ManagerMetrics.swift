extension UserManager {
  /// The metrics of the sessions, the pool of users and the hosts.
  func metrics() async -> [MetricFamily] {
    let sessions = state.sessions.all
    let users = state.pool.users
    func count(_ status: ManagedSession.Status) -> Double { Double(sessions.count { $0.status == status }) }
    var places = (offline: 0, free: 0, serving: 0)
    for user in users {  // in any order
      switch user.value.place {
      case .offline: places.offline += 1
      case .free: places.free += 1
      case .serving: places.serving += 1
      }
    }
    let demand = state.pool.demands.reduce(0) { $0 + $1.count }
    let letters = await removedLetters.map {
      [
        MetricFamily(
          "parley_dead_letters_removed_total", .counter, "Dead letters that were removed for their number.", Double($0))
      ]
    }
    return [
      MetricFamily(
        "parley_sessions", .gauge, "Supervised sessions that have not ended.", by: "status",
        [("starting", count(.starting)), ("running", count(.running))]),
      MetricFamily(
        "parley_pool_users", .gauge, "Users by the place where they are.", by: "place",
        [("offline", Double(places.offline)), ("free", Double(places.free)), ("serving", Double(places.serving))]),
      MetricFamily("parley_pool_demand_users", .gauge, "Users that supervisors wait for.", Double(demand)),
      MetricFamily(
        "parley_supervisor_hosts", .gauge, "Hosts that were heard in the last 10 minutes.", Double(leases.hosts.count)),
      MetricFamily(
        "parley_session_takeovers_total", .counter, "Sessions that were offered to another host.",
        Double(state.takeovers)),
      MetricFamily(
        "parley_sessions_removed_total", .counter, "Ended sessions that were removed with their transcripts.",
        Double(removedSessions)),
      MetricFamily(
        "parley_messages_set_aside_total", .counter, "Messages that could not be read.", Double(deadLetters)),
    ] + (letters ?? []) + (await database.metrics())
  }
}
