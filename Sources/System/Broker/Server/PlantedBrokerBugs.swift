/// The bodies of the broker's planted bugs. Reached only when a test plants them.
extension Broker {
  /// Traps on a time that does not fit: nothing has compared it with the bounds yet.
  static func convertTime(of arguments: AMQPTable) {
    guard let time = arguments["x-message-ttl"]?.int else { return }
    if UInt32(exactly: time) == nil { fatalError("planted: a time of \(time) ms") }
  }
}
