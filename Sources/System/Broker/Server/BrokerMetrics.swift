import Environment

extension Broker {
  /// Queues with metrics of their own, so that the page stays short: the longest ones.
  private static let shownQueues = 200

  /// The metrics of queues and connections.
  func metrics() async -> [MetricFamily] {
    let queues = topology.allQueues
    let shown = queues.sorted { ($1.count, $0.name) < ($0.count, $1.name) }.prefix(Self.shownQueues)
    func each(_ value: (BrokerQueue) -> Int) -> [(String, Double)] { shown.map { ($0.name, Double(value($0))) } }
    var (unacknowledged, blocked) = (0, 0)
    for (_, client) in connections {  // in any order
      for (_, channel) in client.channels { unacknowledged += channel.unsettled.count }  // in any order
      if client.isBlocked { blocked += 1 }
    }
    return [
      MetricFamily(
        "parley_queue_messages", .gauge, "Messages that are ready in the longest queues.", by: "queue",
        each(\.count)),
      MetricFamily(
        "parley_queue_consumers", .gauge, "Consumers of the longest queues.", by: "queue", each(\.consumerCount)),
      MetricFamily("parley_broker_queues", .gauge, "Queues.", Double(queues.count)),
      MetricFamily(
        "parley_broker_messages_ready", .gauge, "Messages that are ready in all queues.",
        Double(queues.reduce(0) { $0 + $1.count })),
      MetricFamily(
        "parley_broker_messages_unacknowledged", .gauge, "Messages that were delivered and are not settled.",
        Double(unacknowledged)),
      MetricFamily(
        "parley_broker_messages_total", .counter, "Messages that were added to queues.", Double(ledger.added)),
      MetricFamily("parley_broker_connections", .gauge, "Connections of clients.", Double(connections.count)),
      MetricFamily(
        "parley_broker_connections_blocked", .gauge, "Publishers that wait for memory.", Double(blocked)),
      MetricFamily(
        "parley_broker_ready_bytes", .gauge, "Ready messages whose bodies are in memory.", Double(ledger.readyBytes)),
      MetricFamily(
        "parley_broker_memory_only_bytes", .gauge, "Messages that are only in memory.", Double(ledger.memoryOnlyBytes)),
      MetricFamily(
        "parley_broker_unsaved_bytes", .gauge, "Messages that are not on the disk yet.", Double(journal.pendingBytes)),
    ] + (await database.metrics())
  }
}
