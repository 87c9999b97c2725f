import Environment
import CLinux
import Glibc
import Real
import System

/// Checks a configuration for the errors that `serve` would report, without binding or writing
/// anything. `serve` makes the same checks before it starts.
///
/// It does not check whether a port or a database is in use, so that a configuration can be checked
/// while an older one is served.
struct Preflight {
  private let configuration: Configuration
  private let services: [String]

  init(_ configuration: Configuration, services: [String]) {
    self.configuration = configuration
    self.services = services
  }

  func check() throws(UsageError) {
    try checkPorts()
    try checkHost()
    try checkNeeds()
    try checkData()
    try TLSFiles(configuration).check()
    try checkDatabases()
    for service in services where configuration.database(of: service) == nil {
      if let file = Self.database(of: service) { try check(file) }
    }
  }

  // MARK: Addresses

  private static let portFlags = [
    (service: "broker", flag: "amqp-port"), (service: "users", flag: "users-port"),
    (service: "manager", flag: "manager-port"), (service: "chat", flag: "chat-port"),
    (service: "customers", flag: "customers-port"), (service: "broker", flag: "broker-http-port"),
    (service: "supervisor", flag: "supervisor-http-port"),
  ]

  private func checkPorts() throws(UsageError) {
    var taken: [Int: String] = [:]
    for (service, flag) in Self.portFlags where services.contains(service) {
      guard let port = configuration.list(flag).first.flatMap({ Int($0) }), port > 0 else { continue }
      if let other = taken[port] { throw UsageError("--\(other) and --\(flag) are both \(port)") }
      taken[port] = flag
      let isOpen = InheritedSockets.shared.addresses.contains { $0.port == port }
      if port < Privileges.firstFreePort, !isOpen {
        throw UsageError("--\(flag) \(port): this user may not listen on a port below \(Privileges.firstFreePort)")
      }
    }
  }

  private func checkHost() throws(UsageError) {
    let host = configuration.text("host")
    let isLocal: Bool
    do throws(NetworkError) { isLocal = try LocalAddresses.contain(host) } catch {
      throw UsageError("--host \(host) cannot be resolved")
    }
    if !isLocal { throw UsageError("--host \(host) is not an address of this machine") }
  }

  /// Checks that the services of other processes are configured.
  private func checkNeeds() throws(UsageError) {
    let mapping = try ServiceURLMapping(folder: configuration.text("data"))
    let hasBroker = services.contains("broker") || !configuration.list("amqp").isEmpty
    let hasUsers = services.contains("users") || !configuration.list("users-url").isEmpty
    for service in services {
      if ["manager", "supervisor", "customers"].contains(service), !hasBroker {
        throw UsageError("\(service) needs a broker, which this process does not run: set --amqp to its URL")
      }
      if service == "chat" && !hasUsers || service == "customers" && !hasUsers && mapping.credentialServer == nil {
        throw UsageError("\(service) needs users, which this process does not run: set --users-url to its URL")
      }
    }
  }

  /// Refuses a database server that cannot be used, and names of nodes that do not fit.
  private func checkDatabases() throws(UsageError) {
    if services.contains("users") { _ = try configuration.users() }
    if services.contains("chat") { _ = try configuration.chat() }
    if services.contains("customers") { _ = try configuration.customers() }
    if services.contains("manager") { _ = try configuration.manager() }
    try checkNode()
  }

  /// Checks the name of a node, that the nodes of each service share a database, and that those of
  /// the User Service can verify each other's tokens.
  private func checkNode() throws(UsageError) {
    guard let name = configuration.list("node").first else { return }
    guard (1...64).contains(name.utf8.count), name.utf8.allSatisfy({ $0.isNamePart }) else {
      throw UsageError("--node: a name has 1 to 64 letters, digits, hyphens, dots and underscores")
    }
    if services.contains("chat") {
      guard configuration.database(of: "chat") != nil else {
        throw UsageError("--node: several nodes of chat share a database: set --database to its URL")
      }
      guard !services.contains("broker") else {
        throw UsageError("--node: several nodes of chat share a broker: run it in another process, and set --amqp")
      }
    }
    if let one = ["customers", "manager"].first(where: {
      services.contains($0) && configuration.database(of: $0) != nil
    }) {
      throw UsageError("--node: one process has the tables of \(one): run it in a process without --node")
    }
    guard services.contains("users") else { return }
    guard configuration.usersDatabase != nil else {
      throw UsageError("--node: several nodes of users share a database: set --database to its URL")
    }
    guard !configuration.list("jwt-secret").isEmpty else {
      throw UsageError("--node: all nodes of users need the same --jwt-secret")
    }
  }

  // MARK: The data directory

  private func checkData() throws(UsageError) {
    let path = configuration.text("data")
    var status = stat()
    guard stat(path, &status) == 0 else {
      guard errno == ENOENT else { throw failure(path, errno) }
      return try checkParent(of: path)
    }
    guard status.st_mode & S_IFMT == S_IFDIR else { throw failure(path, ENOTDIR) }
    if faccessat(AT_FDCWD, path, R_OK | W_OK | X_OK, AT_EACCESS) != 0 { throw failure(path, errno) }
    if Folder.exists(path + "/" + Restore.marker) {
      throw UsageError("--data \(path): a restore was interrupted; run it again with --replace")
    }
  }

  /// The directory is created at the start, if its parent exists.
  private func checkParent(of path: String) throws(UsageError) {
    let trimmed = path.last == "/" && path.count > 1 ? String(path.dropLast()) : path
    let parent = trimmed.lastIndex(of: "/").map { $0 == trimmed.startIndex ? "/" : String(trimmed[..<$0]) } ?? "."
    var system = statfs()
    if statfs(parent, &system) != 0 || faccessat(AT_FDCWD, parent, W_OK | X_OK, AT_EACCESS) != 0 {
      throw failure(path, errno)
    }
    // Kernel file systems such as /proc appear writable to root but accept no directories.
    if [0x9FA0, 0x6265_6572].contains(Int(system.f_type)) { throw failure(path, ENOENT) }
  }

  private static func database(of service: String) -> ServiceDatabase? {
    switch service {
    case "broker": Broker.database
    case "users": UserService.database
    case "manager": UserManager.database
    case "chat": ChatService.database
    case "customers": CustomerServer.database
    default: nil
    }
  }

  private func check(_ file: ServiceDatabase) throws(UsageError) {
    let path = configuration.text("data") + "/" + file.path
    if faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) != 0 {
      if errno == ENOENT { return }
      throw UsageError("\(path): \(String(cString: strerror(errno)))")
    }
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw UsageError("\(path): \(String(cString: strerror(errno)))") }
    defer { close(descriptor) }
    var header = [UInt8](repeating: 0, count: 100)
    let count = pread(descriptor, &header, header.count, 0)
    guard count >= 0 else { throw UsageError("\(path): \(String(cString: strerror(errno)))") }
    if let refusal = file.refusal(ofHeader: Array(header[..<count])) { throw UsageError("\(path): \(refusal)") }
  }

  private func failure(_ path: String, _ code: Int32) -> UsageError {
    if code == ENOENT { return UsageError("--data \(path): \(path) does not exist") }
    return UsageError("--data \(path): \(String(cString: strerror(code)))")
  }
}

/// The privileges of this process.
enum Privileges {
  /// The lowest port that this process may listen on: usually 1024 (ip(7)).
  static var firstFreePort: Int {
    if geteuid() == 0 { return 0 }
    // CAP_NET_BIND_SERVICE is capability 10 (capabilities(7)).
    let status = readFile("/proc/self/status").map { String(decoding: $0, as: UTF8.self) } ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("CapEff:") }
    if let mask = line?.split(separator: "\t").last.flatMap({ UInt64($0, radix: 16) }), mask >> 10 & 1 == 1 { return 0 }
    let text = readFile("/proc/sys/net/ipv4/ip_unprivileged_port_start").map { String(decoding: $0, as: UTF8.self) }
    return text?.split(separator: "\n").first.flatMap { Int($0) } ?? 1024
  }
}

extension UInt8 {
  fileprivate var isNamePart: Bool {
    switch self {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
      true
    default: false
    }
  }
}
