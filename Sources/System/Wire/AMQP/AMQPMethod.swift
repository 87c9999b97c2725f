/// A method of AMQP 0-9-1 that the broker or the client supports. Other methods are refused with
/// 540.
public enum AMQPMethod: Hashable, Sendable {
  case connectionStart(properties: AMQPTable, mechanisms: String, locales: String)
  case connectionStartOk(properties: AMQPTable, mechanism: String, response: [UInt8], locale: String)
  case connectionTune(channelMax: UInt16, frameMax: UInt32, heartbeat: UInt16)
  case connectionTuneOk(channelMax: UInt16, frameMax: UInt32, heartbeat: UInt16)
  case connectionOpen(virtualHost: String)
  case connectionOpenOk
  case connectionClose(code: UInt16, text: String, classID: UInt16, methodID: UInt16)
  case connectionCloseOk
  /// An extension of RabbitMQ: the broker is short of memory and does not read from this
  /// connection.
  case connectionBlocked(reason: String)
  case connectionUnblocked
  /// An extension of RabbitMQ: a new password for a connection that is open.
  case connectionUpdateSecret(secret: [UInt8], reason: String)
  case connectionUpdateSecretOk
  case channelOpen
  case channelOpenOk
  case channelFlow(active: Bool)
  case channelFlowOk(active: Bool)
  case channelClose(code: UInt16, text: String, classID: UInt16, methodID: UInt16)
  case channelCloseOk
  /// A method of AMQP 0-8. RabbitMQ grants every ticket.
  case accessRequest
  case accessRequestOk(ticket: UInt16)
  case exchangeDeclare(ExchangeDeclaration)
  case exchangeDeclareOk
  case exchangeDelete(exchange: String, ifUnused: Bool, noWait: Bool)
  case exchangeDeleteOk
  /// An extension of RabbitMQ: a binding from the exchange `source` to the exchange `destination`.
  case exchangeBind(destination: String, source: String, routingKey: String, noWait: Bool, arguments: AMQPTable)
  case exchangeBindOk
  case exchangeUnbind(destination: String, source: String, routingKey: String, noWait: Bool, arguments: AMQPTable)
  case exchangeUnbindOk
  case queueDeclare(QueueDeclaration)
  case queueDeclareOk(queue: String, messages: UInt32, consumers: UInt32)
  case queueBind(queue: String, exchange: String, routingKey: String, noWait: Bool, arguments: AMQPTable)
  case queueBindOk
  case queueUnbind(queue: String, exchange: String, routingKey: String, arguments: AMQPTable)
  case queueUnbindOk
  case queuePurge(queue: String, noWait: Bool)
  case queuePurgeOk(messages: UInt32)
  case queueDelete(queue: String, ifUnused: Bool, ifEmpty: Bool, noWait: Bool)
  case queueDeleteOk(messages: UInt32)
  case basicQos(size: UInt32, count: UInt16, isGlobal: Bool)
  case basicQosOk
  case basicConsume(Consumption)
  case basicConsumeOk(tag: String)
  case basicCancel(tag: String, noWait: Bool)
  case basicCancelOk(tag: String)
  case basicPublish(exchange: String, routingKey: String, mandatory: Bool, immediate: Bool)
  case basicReturn(code: UInt16, text: String, exchange: String, routingKey: String)
  case basicDeliver(consumer: String, tag: UInt64, redelivered: Bool, exchange: String, routingKey: String)
  case basicGet(queue: String, noAck: Bool)
  case basicGetOk(tag: UInt64, redelivered: Bool, exchange: String, routingKey: String, messages: UInt32)
  case basicGetEmpty
  case basicAck(tag: UInt64, multiple: Bool)
  case basicReject(tag: UInt64, requeue: Bool)
  case basicNack(tag: UInt64, multiple: Bool, requeue: Bool)
  case basicRecoverAsync(requeue: Bool)
  case basicRecover(requeue: Bool)
  case basicRecoverOk
  case confirmSelect(noWait: Bool)
  case confirmSelectOk
  case txSelect
  case txSelectOk
  case txCommit
  case txCommitOk
  case txRollback
  case txRollbackOk

  /// `exchange.declare`.
  public struct ExchangeDeclaration: Hashable, Sendable {
    var exchange = ""
    var kind = "direct"
    var passive = false
    var durable = false
    var autoDelete = false
    var isInternal = false
    var noWait = false
    var arguments = AMQPTable()
  }

  /// `queue.declare`.
  public struct QueueDeclaration: Hashable, Sendable {
    var queue = ""
    var passive = false
    var durable = false
    var exclusive = false
    var autoDelete = false
    var noWait = false
    var arguments = AMQPTable()
  }

  /// `basic.consume`.
  public struct Consumption: Hashable, Sendable {
    var queue = ""
    var tag = ""
    var noLocal = false
    var noAck = false
    var exclusive = false
    var noWait = false
    var arguments = AMQPTable()
  }

  /// The class id in the upper 16 bits and the method id in the lower.
  var id: UInt32 { bytes.prefix(4).reduce(0) { $0 << 8 | UInt32($1) } }

  /// Whether a content header and a body follow.
  var hasContent: Bool {
    switch self {
    case .basicPublish, .basicReturn, .basicDeliver, .basicGetOk: true
    default: false
    }
  }
}

extension AMQPMethod {
  /// Parses the payload of a method frame.
  /// - Throws: `AMQPError` 502 for malformed payloads, 540 for unsupported methods.
  init(parsing payload: ArraySlice<UInt8>) throws(AMQPError) {
    var reader = AMQPReader(payload)
    let classID = try reader.short()
    let methodID = try reader.short()
    let found: AMQPMethod?
    switch classID {
    case 10: found = try Self.connection(methodID, &reader)
    case 20: found = try Self.channel(methodID, &reader)
    case 30: found = try Self.access(methodID, &reader)
    case 40: found = try Self.exchange(methodID, &reader)
    case 50: found = try Self.queue(methodID, &reader)
    case 60: found = try Self.basic(methodID, &reader)
    case 85 where methodID == 10: found = .confirmSelect(noWait: try reader.bit())
    case 85 where methodID == 11: found = .confirmSelectOk
    case 90: found = Self.transaction(methodID)
    default: found = nil
    }
    guard let found else {
      let name = AMQPMethodRow.row(classID, methodID)?.name ?? "\(classID).\(methodID)"
      throw AMQPError(540, "NOT_IMPLEMENTED - method \(name)")
    }
    guard reader.isAtEnd else { throw .syntax("trailing bytes after the fields of a method") }
    self = found
  }

  private static func connection(_ id: UInt16, _ reader: inout AMQPReader) throws(AMQPError) -> AMQPMethod? {
    switch id {
    case 10:
      _ = try reader.short()
      let properties = try reader.table()
      let mechanisms = String(decoding: try reader.longString(), as: UTF8.self)
      return .connectionStart(
        properties: properties, mechanisms: mechanisms,
        locales: String(decoding: try reader.longString(), as: UTF8.self))
    case 11:
      let properties = try reader.table()
      let mechanism = try reader.shortString()
      let response = try reader.longString()
      return .connectionStartOk(
        properties: properties, mechanism: mechanism, response: response, locale: try reader.shortString())
    case 30, 31:
      let channels = try reader.short()
      let frame = try reader.long()
      let heartbeat = try reader.short()
      return id == 30
        ? .connectionTune(channelMax: channels, frameMax: frame, heartbeat: heartbeat)
        : .connectionTuneOk(channelMax: channels, frameMax: frame, heartbeat: heartbeat)
    case 40:
      let host = try reader.shortString()
      _ = try reader.shortString()
      _ = try reader.bit()
      return .connectionOpen(virtualHost: host)
    case 41:
      _ = try reader.shortString()
      return .connectionOpenOk
    case 50:
      let (code, text, classID, methodID) = try closing(&reader)
      return .connectionClose(code: code, text: text, classID: classID, methodID: methodID)
    case 51: return .connectionCloseOk
    case 60: return .connectionBlocked(reason: try reader.shortString())
    case 61: return .connectionUnblocked
    case 70:
      let secret = try reader.longString()
      return .connectionUpdateSecret(secret: secret, reason: try reader.shortString())
    case 71: return .connectionUpdateSecretOk
    default: return nil
    }
  }

  private static func access(_ id: UInt16, _ reader: inout AMQPReader) throws(AMQPError) -> AMQPMethod? {
    switch id {
    case 10:
      _ = try reader.shortString()
      for _ in 0..<5 { _ = try reader.bit() }
      return .accessRequest
    case 11: return .accessRequestOk(ticket: try reader.short())
    default: return nil
    }
  }

  private static func transaction(_ id: UInt16) -> AMQPMethod? {
    switch id {
    case 10: .txSelect
    case 11: .txSelectOk
    case 20: .txCommit
    case 21: .txCommitOk
    case 30: .txRollback
    case 31: .txRollbackOk
    default: nil
    }
  }

  private static func closing(_ reader: inout AMQPReader) throws(AMQPError) -> (UInt16, String, UInt16, UInt16) {
    let code = try reader.short()
    let text = try reader.shortString()
    let classID = try reader.short()
    return (code, text, classID, try reader.short())
  }

  private static func channel(_ id: UInt16, _ reader: inout AMQPReader) throws(AMQPError) -> AMQPMethod? {
    switch id {
    case 10:
      _ = try reader.shortString()
      return .channelOpen
    case 11:
      _ = try reader.longString()
      return .channelOpenOk
    case 20: return .channelFlow(active: try reader.bit())
    case 21: return .channelFlowOk(active: try reader.bit())
    case 40:
      let (code, text, classID, methodID) = try closing(&reader)
      return .channelClose(code: code, text: text, classID: classID, methodID: methodID)
    case 41: return .channelCloseOk
    default: return nil
    }
  }

  private static func exchange(_ id: UInt16, _ reader: inout AMQPReader) throws(AMQPError) -> AMQPMethod? {
    switch id {
    case 10:
      _ = try reader.short()
      var declaration = ExchangeDeclaration()
      declaration.exchange = try reader.shortString()
      declaration.kind = try reader.shortString()
      declaration.passive = try reader.bit()
      declaration.durable = try reader.bit()
      declaration.autoDelete = try reader.bit()
      declaration.isInternal = try reader.bit()
      declaration.noWait = try reader.bit()
      declaration.arguments = try reader.table()
      return .exchangeDeclare(declaration)
    case 11: return .exchangeDeclareOk
    case 20:
      _ = try reader.short()
      let exchange = try reader.shortString()
      let ifUnused = try reader.bit()
      return .exchangeDelete(exchange: exchange, ifUnused: ifUnused, noWait: try reader.bit())
    case 21: return .exchangeDeleteOk
    case 30, 40:
      _ = try reader.short()
      let destination = try reader.shortString()
      let source = try reader.shortString()
      let key = try reader.shortString()
      let noWait = try reader.bit()
      let arguments = try reader.table()
      return id == 30
        ? .exchangeBind(
          destination: destination, source: source, routingKey: key, noWait: noWait, arguments: arguments)
        : .exchangeUnbind(
          destination: destination, source: source, routingKey: key, noWait: noWait, arguments: arguments)
    case 31: return .exchangeBindOk
    case 51: return .exchangeUnbindOk
    default: return nil
    }
  }

  private static func queue(_ id: UInt16, _ reader: inout AMQPReader) throws(AMQPError) -> AMQPMethod? {
    switch id {
    case 11:
      let queue = try reader.shortString()
      let messages = try reader.long()
      return .queueDeclareOk(queue: queue, messages: messages, consumers: try reader.long())
    case 21: return .queueBindOk
    case 31: return .queuePurgeOk(messages: try reader.long())
    case 41: return .queueDeleteOk(messages: try reader.long())
    case 51: return .queueUnbindOk
    default: break
    }
    guard [10, 20, 30, 40, 50].contains(id) else { return nil }
    _ = try reader.short()
    let queue = try reader.shortString()
    switch id {
    case 10:
      var declaration = QueueDeclaration()
      declaration.queue = queue
      declaration.passive = try reader.bit()
      declaration.durable = try reader.bit()
      declaration.exclusive = try reader.bit()
      declaration.autoDelete = try reader.bit()
      declaration.noWait = try reader.bit()
      declaration.arguments = try reader.table()
      return .queueDeclare(declaration)
    case 20:
      let exchange = try reader.shortString()
      let key = try reader.shortString()
      let noWait = try reader.bit()
      return .queueBind(
        queue: queue, exchange: exchange, routingKey: key, noWait: noWait, arguments: try reader.table())
    case 30: return .queuePurge(queue: queue, noWait: try reader.bit())
    case 40:
      let ifUnused = try reader.bit()
      let ifEmpty = try reader.bit()
      return .queueDelete(queue: queue, ifUnused: ifUnused, ifEmpty: ifEmpty, noWait: try reader.bit())
    default:
      let exchange = try reader.shortString()
      let key = try reader.shortString()
      return .queueUnbind(queue: queue, exchange: exchange, routingKey: key, arguments: try reader.table())
    }
  }
}
