import Environment

/// How publications get to the broker: in order, no more of them at once than it and the network take.
extension AMQPClient {
  /// Opens the publisher's channel, and says on it what was said before.
  func openPublisher() {
    AMQPFrames.write(.channelOpen, Self.publisher, to: &output)
    AMQPFrames.write(.confirmSelect(noWait: false), Self.publisher, to: &output)
    for deletion in deletions { write(deletion) }
    for declaration in declarations { write(declaration) }
    sent = AMQPSent()
    nextToSend = unconfirmed.keys.sorted().first ?? lastPublication + 1
    sendWaiting()
  }

  /// Sends publications that wait, as far as they may be sent now.
  func sendWaiting() {
    guard isReady, !isBlocked else { return }
    while nextToSend <= lastPublication, output.count < Self.maximumOutput, sent.underWay < window,
      sent.span < 2 * Self.maximumUnconfirmed
    {
      defer { nextToSend += 1 }
      if let publication = unconfirmed[nextToSend] { write(nextToSend, publication) }
    }
  }

  private func write(_ number: UInt64, _ publication: AMQPPublication) {
    do throws(AMQPFramingError) {
      // It fits the largest frames; this broker's may be smaller.
      try AMQPFramingError.check(header: publication.properties, frameMax: frameMax)
    } catch {
      return setAside(number, error)
    }
    sent.append(number)
    AMQPFrames.write(
      .basicPublish(
        exchange: publication.exchange, routingKey: publication.routingKey, mandatory: false, immediate: false),
      properties: publication.properties, body: publication.body, Self.publisher, frameMax: frameMax, to: &output)
  }

  /// Asks something that the broker answers once what it was told is on its disk. The exchange is one that every
  /// broker has (AMQP 0-9-1 §3.1.3.1).
  func writeQuestion() {
    var question = AMQPMethod.ExchangeDeclaration()
    question.exchange = "amq.direct"
    question.passive = true
    AMQPFrames.write(.exchangeDeclare(question), Self.publisher, to: &output)
  }

  func confirm(_ tag: UInt64, _ multiple: Bool) {
    for number in sent.numbers(upTo: tag, multiple: multiple) { settle(number)?.batch.settled() }
    sent.forget { unconfirmed[$0] == nil }
    guard window < .max else { return }
    // No refusal among those: more may be sent at once.
    if sent.underWay == 0 { window = window > Self.maximumUnconfirmed ? .max : window * 2 }
    sendWaiting()
  }

  private func settle(_ number: UInt64) -> AMQPPublication? {
    guard let publication = unconfirmed.removeValue(forKey: number) else { return nil }
    unconfirmedBytes -= publication.size
    sent.underWay -= 1
    return publication
  }

  /// The broker has closed the publisher's channel because of one of the publications that are under way, and does not
  /// say which. Fewer are sent at once, until it is the only one; then it is set aside, and the others go on.
  func noteRefusal(_ error: AMQPError) {
    if sent.underWay == 1, let number = sent.open.first(where: { unconfirmed[$0] != nil }) {
      setAside(number, error)
    } else {
      window = max(1, sent.underWay / 2)
    }
    endDepths()
    let isAsked = hasQuestion
    openPublisher()
    if isAsked { writeQuestion() }
  }

  private func setAside(_ number: UInt64, _ error: any Error) {
    guard let publication = unconfirmed.removeValue(forKey: number) else { return }
    unconfirmedBytes -= publication.size
    environment.log.error(
      "amqp-publication-refused",
      [
        "exchange": .string(publication.exchange), "routing_key": .string(publication.routingKey),
        "error": .string("\(error)"),
      ])
    publication.batch.settled(error)
  }
}
