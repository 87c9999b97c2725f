/// What the transaction of a channel does when it is committed (`tx.select`): publications, then
/// settlements, each in order. Used on the broker's actor.
struct ChannelTransaction {
  /// A publication whose queues are known already, as in RabbitMQ.
  struct Publication {
    let message: BrokerMessage
    let queues: [BrokerQueue]
    let lifetime: Milliseconds?
    let isMandatory: Bool
  }

  /// What a client does with deliveries.
  enum Settlement: Equatable {
    case acknowledge
    case reject(requeue: Bool)
  }

  private(set) var publications: [Publication] = []
  private(set) var settlements: [(kind: Settlement, deliveries: [BrokerDelivery])] = []
  /// Deliveries that it settles.
  private(set) var deliveries = 0
  /// Approximate bytes of the publications.
  private(set) var bytes = 0

  mutating func add(_ publication: Publication) {
    publications.append(publication)
    bytes += publication.message.size + 64 + 16 * publication.queues.count
  }

  /// Adds a settlement. Those of one kind in a row are one at the commit, as in RabbitMQ.
  mutating func add(_ kind: Settlement, _ settled: [BrokerDelivery]) {
    deliveries += settled.count
    guard settlements.last?.kind == kind else { return settlements.append((kind, settled)) }
    settlements[settlements.count - 1].deliveries += settled
  }
}
