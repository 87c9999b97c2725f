import Environment
import System

/// The nodes of a scenario and their addresses.
extension Scenario {
  /// The node that runs the User Service.
  static let usersNode = "users"
  /// The node that runs PostgreSQL.
  static let databaseNode = PostgreSQLOptions.host
  /// The node that runs the Chat Service.
  static let chatNode = "chat"
  /// The node that runs the User Manager.
  static let managerNode = "manager"
  /// The node that runs the Customer Server.
  static let customersNode = "customers"
  /// The node that reads the manager's overview in the end.
  static let operatorNode = "operator"

  static let usersAddress = SocketAddress(host: usersNode, port: 8001)
  /// The nodes that run the User Service: `users`, and then `users-2`, `users-3` and so on.
  static func usersNodes(_ count: Int) -> [String] {
    nodes(usersNode, count)
  }
  /// The nodes that run the Chat Service: `chat`, and then `chat-2`, `chat-3` and so on.
  static func chatNodes(_ count: Int) -> [String] { nodes(chatNode, count) }

  private static func nodes(_ first: String, _ count: Int) -> [String] {
    (1...count).map { $0 == 1 ? first : "\(first)-\($0)" }
  }
  static let databaseAddress = SocketAddress(host: databaseNode, port: 5432)
  static let chatAddress = SocketAddress(host: chatNode, port: 5000)
  static let brokerAddress = SocketAddress(host: "broker", port: 5672)
  static let managerAddress = SocketAddress(host: managerNode, port: 20000)
  static let customersAddress = SocketAddress(host: customersNode, port: 5500)

  /// The token that services show each other.
  static let serviceToken = "a service token"
  /// The broker, with the credentials of its clients.
  static let broker = BrokerAddress(address: brokerAddress, user: "parley", password: serviceToken)

  /// The certificates of a run, if it has TLS.
  func certificates(seed: UInt64) -> SimulatedCertificates? {
    guard hasTLS else { return nil }
    let users = usersNodes.map { SocketAddress(host: $0, port: Self.usersAddress.port) }
    let chat = chatNodes.map { SocketAddress(host: $0, port: Self.chatAddress.port) }
    let servers = users + chat + [Self.customersAddress, Self.managerAddress]
    var peers: [SocketAddress: SecurePeer] = [Self.brokerAddress: SecurePeer(.amqp, .named)]
    for address in servers { peers[address] = SecurePeer(.http, .named) }
    // The simulated PostgreSQL does not offer TLS.
    let secured = serviceNodes.filter { $0 != Self.databaseNode }
    do throws(TLSError) { return try SimulatedCertificates(secured, peers, seed: seed) } catch {
      fatalError("the certificates of a simulation are refused: \(error)")
    }
  }

  /// The nodes that run the User Service.
  var usersNodes: [String] { Self.usersNodes(usersCount) }

  /// The nodes that run the Chat Service, if there are any.
  var chatNodes: [String] { Self.chatNodes(chatCount) }

  /// The nodes that host supervisors.
  var hostNames: [String] { supervisorHosts == 0 ? [] : (1...supervisorHosts).map { "supervisor-\($0)" } }

  /// The nodes that run services. A node comes after those that it depends on.
  public var serviceNodes: [String] {
    let accounts = (hasDatabaseServer ? [Self.databaseNode] : []) + usersNodes
    if supervisorHosts > 0 {
      return ["broker"] + accounts + [Self.managerNode] + chatNodes + [Self.customersNode] + hostNames
    }
    return (hasBroker ? ["broker"] : []) + accounts + (hasChat ? chatNodes : [])
  }
}
