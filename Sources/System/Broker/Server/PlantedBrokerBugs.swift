/// The bodies of planted bugs. Reached only when a test plants them.
extension BrokerCommands {
  /// Traps on a time that is out of bounds, since nothing has checked it yet.
  static func convertTime(of arguments: AMQPTable) {
    guard let time = arguments["x-message-ttl"]?.int else { return }
    if UInt32(exactly: time) == nil { fatalError("planted: a time of \(time) ms") }
  }
}
