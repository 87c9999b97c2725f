/// The promises that the rows of the broker's database keep.
enum BrokerInvariants {
  static let all = [
    Invariant("the broker can use each row") { connection in
      let count = try await BrokerTables(connection).recover().setAside
      return count == 0 ? [] : ["\(count) rows"]
    },
    Invariant(
      "a message can be sent",
      """
      SELECT message_id FROM messages
      WHERE length(CAST(exchange AS BLOB)) > 255 OR length(CAST(routing_key AS BLOB)) > 255 OR message_id < 1
      """),
    .reference("messages", "queue", "queues", "name"),
    Invariant(
      "a binding is between an exchange and a queue or an exchange",
      """
      SELECT exchange || ' to ' || destination FROM bindings
      WHERE exchange NOT LIKE 'amq.%' AND exchange NOT IN (SELECT name FROM exchanges)
        OR is_to_exchange = 0 AND destination NOT IN (SELECT name FROM queues)
        OR is_to_exchange = 1 AND destination NOT LIKE 'amq.%' AND destination NOT IN (SELECT name FROM exchanges)
      """),
  ]
}
