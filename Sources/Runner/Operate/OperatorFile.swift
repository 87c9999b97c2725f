import Environment
import Glibc
import Real
import System

/// A file in the data directory by which the commands of operators reach a service that runs there.
/// Only the owner of the directory can read it. The token in it is new with each start.
struct OperatorFile {
  let address: SocketAddress
  let isSecure: Bool
  let token: String
  /// The files with the certificates of which the service shows one; empty without TLS.
  let certificates: [String]

  private static func name(_ service: String) -> String { "operator-\(service).json" }

  init(_ address: SocketAddress, isSecure: Bool, token: String, certificates: [String]) {
    self.address = address
    self.isSecure = isSecure
    self.token = token
    // The commands may be run in another directory than the service.
    self.certificates = certificates.map { path in
      guard let absolute = realpath(path, nil) else { return path }
      defer { free(absolute) }
      return String(cString: absolute)
    }
  }

  /// Reads the file of a service; nil if it does not exist.
  init?(of service: String, in folder: String) throws(UsageError) {
    let path = folder + "/" + Self.name(service)
    guard let bytes = readFile(path) else {
      if errno == ENOENT { return nil }
      throw UsageError("\(path): \(String(cString: strerror(errno)))")
    }
    guard let json = try? JSONParser.parse(bytes), let host = json["host"]?.string,
      let port = json["port"]?.int.flatMap({ UInt16(exactly: $0) }), let isSecure = json["tls"]?.bool,
      let token = json["token"]?.string, let certificates = json["certificates"]?.array
    else { throw UsageError("\(path): not a file that this release can read") }
    self.init(
      SocketAddress(host: host, port: port), isSecure: isSecure, token: token,
      certificates: certificates.compactMap(\.string))
  }

  /// Replaces the file of a service.
  func write(for service: String, in storage: RealStorage) throws(StorageError) {
    let json: JSONValue = [
      "host": .string(address.host), "port": .int(Int64(address.port)), "tls": .bool(isSecure),
      "token": .string(token), "certificates": .array(certificates.map { .string($0) }),
    ]
    let name = Self.name(service)
    try storage.write(Array(json.text.utf8) + [10], to: name + ".new")
    try storage.rename(name + ".new", to: name)
    try storage.syncDirectory()
  }
}
