extension AMQPMethod {
  static func basic(_ id: UInt16, _ reader: inout AMQPReader) throws(AMQPError) -> AMQPMethod? {
    switch id {
    case 10:
      let size = try reader.long()
      let count = try reader.short()
      return .basicQos(size: size, count: count, isGlobal: try reader.bit())
    case 11: return .basicQosOk
    case 20:
      _ = try reader.short()
      var consumption = Consumption()
      consumption.queue = try reader.shortString()
      consumption.tag = try reader.shortString()
      consumption.noLocal = try reader.bit()
      consumption.noAck = try reader.bit()
      consumption.exclusive = try reader.bit()
      consumption.noWait = try reader.bit()
      consumption.arguments = try reader.table()
      return .basicConsume(consumption)
    case 21: return .basicConsumeOk(tag: try reader.shortString())
    case 30:
      let tag = try reader.shortString()
      return .basicCancel(tag: tag, noWait: try reader.bit())
    case 31: return .basicCancelOk(tag: try reader.shortString())
    case 40:
      _ = try reader.short()
      let exchange = try reader.shortString()
      let key = try reader.shortString()
      let mandatory = try reader.bit()
      return .basicPublish(exchange: exchange, routingKey: key, mandatory: mandatory, immediate: try reader.bit())
    case 50:
      let code = try reader.short()
      let text = try reader.shortString()
      let exchange = try reader.shortString()
      return .basicReturn(code: code, text: text, exchange: exchange, routingKey: try reader.shortString())
    case 60:
      let consumer = try reader.shortString()
      let tag = try reader.longLong()
      let redelivered = try reader.bit()
      let exchange = try reader.shortString()
      return .basicDeliver(
        consumer: consumer, tag: tag, redelivered: redelivered, exchange: exchange,
        routingKey: try reader.shortString())
    case 70:
      _ = try reader.short()
      let queue = try reader.shortString()
      return .basicGet(queue: queue, noAck: try reader.bit())
    case 71:
      let tag = try reader.longLong()
      let redelivered = try reader.bit()
      let exchange = try reader.shortString()
      let key = try reader.shortString()
      return .basicGetOk(
        tag: tag, redelivered: redelivered, exchange: exchange, routingKey: key, messages: try reader.long())
    case 72:
      _ = try reader.shortString()
      return .basicGetEmpty
    default: return try settlement(id, &reader)
    }
  }

  private static func settlement(_ id: UInt16, _ reader: inout AMQPReader) throws(AMQPError) -> AMQPMethod? {
    switch id {
    case 80:
      let tag = try reader.longLong()
      return .basicAck(tag: tag, multiple: try reader.bit())
    case 90:
      let tag = try reader.longLong()
      return .basicReject(tag: tag, requeue: try reader.bit())
    case 100: return .basicRecoverAsync(requeue: try reader.bit())
    case 110: return .basicRecover(requeue: try reader.bit())
    case 111: return .basicRecoverOk
    case 120:
      let tag = try reader.longLong()
      let multiple = try reader.bit()
      return .basicNack(tag: tag, multiple: multiple, requeue: try reader.bit())
    default: return nil
    }
  }

  /// The method, encoded as the payload of a frame.
  var bytes: [UInt8] {
    var writer = AMQPWriter()
    write(to: &writer)
    return writer.bytes
  }

  /// Writes the method as the payload of a frame.
  func write(to writer: inout AMQPWriter) {
    func close(_ code: UInt16, _ text: String, _ classID: UInt16, _ methodID: UInt16) {
      writer.number(code)
      writer.replyText(text)
      writer.number(classID)
      writer.number(methodID)
    }
    switch self {
    case .connectionStart(let properties, let mechanisms, let locales):
      writer.method(10, 10)
      writer.raw([0, 9])
      writer.table(properties)
      writer.longString(Array(mechanisms.utf8))
      writer.longString(Array(locales.utf8))
    case .connectionStartOk(let properties, let mechanism, let response, let locale):
      writer.method(10, 11)
      writer.table(properties)
      writer.shortString(mechanism)
      writer.longString(response)
      writer.shortString(locale)
    case .connectionTune(let channels, let frame, let heartbeat),
      .connectionTuneOk(let channels, let frame, let heartbeat):
      if case .connectionTune = self { writer.method(10, 30) } else { writer.method(10, 31) }
      writer.number(channels)
      writer.number(frame)
      writer.number(heartbeat)
    case .connectionOpen(let host):
      writer.method(10, 40)
      writer.shortString(host)
      writer.shortString("")
      writer.flag(false)
    case .connectionOpenOk:
      writer.method(10, 41)
      writer.shortString("")
    case .connectionClose(let code, let text, let classID, let methodID):
      writer.method(10, 50)
      close(code, text, classID, methodID)
    case .connectionCloseOk: writer.method(10, 51)
    case .connectionBlocked(let reason):
      writer.method(10, 60)
      writer.replyText(reason)
    case .connectionUnblocked: writer.method(10, 61)
    case .connectionUpdateSecret(let secret, let reason):
      writer.method(10, 70)
      writer.longString(secret)
      writer.shortString(reason)
    case .connectionUpdateSecretOk: writer.method(10, 71)
    case .channelOpen:
      writer.method(20, 10)
      writer.shortString("")
    case .channelOpenOk:
      writer.method(20, 11)
      writer.longString([])
    case .channelFlow(let active):
      writer.method(20, 20)
      writer.flag(active)
    case .channelFlowOk(let active):
      writer.method(20, 21)
      writer.flag(active)
    case .channelClose(let code, let text, let classID, let methodID):
      writer.method(20, 40)
      close(code, text, classID, methodID)
    case .channelCloseOk: writer.method(20, 41)
    default: writeTopology(to: &writer)
    }
  }

  private func writeTopology(to writer: inout AMQPWriter) {
    switch self {
    case .accessRequest:
      writer.method(30, 10)
      writer.shortString("/data")
      for _ in 0..<5 { writer.flag(true) }
    case .accessRequestOk(let ticket):
      writer.method(30, 11)
      writer.number(ticket)
    case .exchangeDeclare(let declaration):
      writer.method(40, 10)
      writer.number(UInt16(0))
      writer.shortString(declaration.exchange)
      writer.shortString(declaration.kind)
      for flag in [
        declaration.passive, declaration.durable, declaration.autoDelete, declaration.isInternal, declaration.noWait,
      ] { writer.flag(flag) }
      writer.table(declaration.arguments)
    case .exchangeDeclareOk: writer.method(40, 11)
    case .exchangeDelete(let exchange, let ifUnused, let noWait):
      writer.method(40, 20)
      writer.number(UInt16(0))
      writer.shortString(exchange)
      writer.flag(ifUnused)
      writer.flag(noWait)
    case .exchangeDeleteOk: writer.method(40, 21)
    case .exchangeBind(let destination, let source, let key, let noWait, let arguments),
      .exchangeUnbind(let destination, let source, let key, let noWait, let arguments):
      if case .exchangeBind = self { writer.method(40, 30) } else { writer.method(40, 40) }
      writer.number(UInt16(0))
      for name in [destination, source, key] { writer.shortString(name) }
      writer.flag(noWait)
      writer.table(arguments)
    case .exchangeBindOk: writer.method(40, 31)
    case .exchangeUnbindOk: writer.method(40, 51)
    case .queueDeclare(let declaration):
      writer.method(50, 10)
      writer.number(UInt16(0))
      writer.shortString(declaration.queue)
      for flag in [
        declaration.passive, declaration.durable, declaration.exclusive, declaration.autoDelete, declaration.noWait,
      ] { writer.flag(flag) }
      writer.table(declaration.arguments)
    case .queueDeclareOk(let queue, let messages, let consumers):
      writer.method(50, 11)
      writer.shortString(queue)
      writer.number(messages)
      writer.number(consumers)
    default: writeQueues(to: &writer)
    }
  }

  private func writeQueues(to writer: inout AMQPWriter) {
    switch self {
    case .queueBind(let queue, let exchange, let key, let noWait, let arguments):
      writer.method(50, 20)
      writer.number(UInt16(0))
      writer.shortString(queue)
      writer.shortString(exchange)
      writer.shortString(key)
      writer.flag(noWait)
      writer.table(arguments)
    case .queueBindOk: writer.method(50, 21)
    case .queueUnbind(let queue, let exchange, let key, let arguments):
      writer.method(50, 50)
      writer.number(UInt16(0))
      writer.shortString(queue)
      writer.shortString(exchange)
      writer.shortString(key)
      writer.table(arguments)
    case .queueUnbindOk: writer.method(50, 51)
    case .queuePurge(let queue, let noWait):
      writer.method(50, 30)
      writer.number(UInt16(0))
      writer.shortString(queue)
      writer.flag(noWait)
    case .queuePurgeOk(let messages):
      writer.method(50, 31)
      writer.number(messages)
    case .queueDelete(let queue, let ifUnused, let ifEmpty, let noWait):
      writer.method(50, 40)
      writer.number(UInt16(0))
      writer.shortString(queue)
      for flag in [ifUnused, ifEmpty, noWait] { writer.flag(flag) }
    case .queueDeleteOk(let messages):
      writer.method(50, 41)
      writer.number(messages)
    case .confirmSelect(let noWait):
      writer.method(85, 10)
      writer.flag(noWait)
    case .confirmSelectOk: writer.method(85, 11)
    case .txSelect: writer.method(90, 10)
    case .txSelectOk: writer.method(90, 11)
    case .txCommit: writer.method(90, 20)
    case .txCommitOk: writer.method(90, 21)
    case .txRollback: writer.method(90, 30)
    case .txRollbackOk: writer.method(90, 31)
    default: writeBasic(to: &writer)
    }
  }

  private func writeBasic(to writer: inout AMQPWriter) {
    switch self {
    case .basicQos(let size, let count, let isGlobal):
      writer.method(60, 10)
      writer.number(size)
      writer.number(count)
      writer.flag(isGlobal)
    case .basicQosOk: writer.method(60, 11)
    case .basicConsume(let consumption):
      writer.method(60, 20)
      writer.number(UInt16(0))
      writer.shortString(consumption.queue)
      writer.shortString(consumption.tag)
      for flag in [consumption.noLocal, consumption.noAck, consumption.exclusive, consumption.noWait] {
        writer.flag(flag)
      }
      writer.table(consumption.arguments)
    case .basicConsumeOk(let tag):
      writer.method(60, 21)
      writer.shortString(tag)
    case .basicCancel(let tag, let noWait):
      writer.method(60, 30)
      writer.shortString(tag)
      writer.flag(noWait)
    case .basicCancelOk(let tag):
      writer.method(60, 31)
      writer.shortString(tag)
    case .basicPublish(let exchange, let key, let mandatory, let immediate):
      writer.method(60, 40)
      writer.number(UInt16(0))
      writer.shortString(exchange)
      writer.shortString(key)
      writer.flag(mandatory)
      writer.flag(immediate)
    case .basicReturn(let code, let text, let exchange, let key):
      writer.method(60, 50)
      writer.number(code)
      writer.replyText(text)
      for name in [exchange, key] { writer.shortString(name) }
    case .basicGet(let queue, let noAck):
      writer.method(60, 70)
      writer.number(UInt16(0))
      writer.shortString(queue)
      writer.flag(noAck)
    default: writeDelivery(to: &writer)
    }
  }

  private func writeDelivery(to writer: inout AMQPWriter) {
    switch self {
    case .basicDeliver(let consumer, let tag, let redelivered, let exchange, let key):
      writer.method(60, 60)
      writer.shortString(consumer)
      writer.number(tag)
      writer.flag(redelivered)
      writer.shortString(exchange)
      writer.shortString(key)
    case .basicGetOk(let tag, let redelivered, let exchange, let key, let messages):
      writer.method(60, 71)
      writer.number(tag)
      writer.flag(redelivered)
      writer.shortString(exchange)
      writer.shortString(key)
      writer.number(messages)
    case .basicGetEmpty:
      writer.method(60, 72)
      writer.shortString("")
    default: writeSettlement(to: &writer)
    }
  }

  private func writeSettlement(to writer: inout AMQPWriter) {
    switch self {
    case .basicAck(let tag, let multiple):
      writer.method(60, 80)
      writer.number(tag)
      writer.flag(multiple)
    case .basicReject(let tag, let requeue):
      writer.method(60, 90)
      writer.number(tag)
      writer.flag(requeue)
    case .basicRecoverAsync(let requeue):
      writer.method(60, 100)
      writer.flag(requeue)
    case .basicRecover(let requeue):
      writer.method(60, 110)
      writer.flag(requeue)
    case .basicRecoverOk: writer.method(60, 111)
    case .basicNack(let tag, let multiple, let requeue):
      writer.method(60, 120)
      writer.number(tag)
      writer.flag(multiple)
      writer.flag(requeue)
    default: fatalError("no encoding for \(self)")
    }
  }
}
