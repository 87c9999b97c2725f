import Environment
import System

/// Parses `amqp://user:password@host:port/%2f`.
enum BrokerURL {
  /// Without a user, services log in with the service token if there is one, otherwise as `guest`.
  static func parse(_ url: String, serviceToken: String?) throws(UsageError) -> BrokerAddress {
    let wrong = UsageError("--amqp: \"\(redacted(url))\" is not of the form amqp://user:password@host:port/")
    guard url.hasPrefix("amqp://") || isSecure(url) else { throw wrong }
    var rest = url.dropFirst(isSecure(url) ? "amqps://".count : "amqp://".count)
    if let slash = rest.firstIndex(of: "/") {
      let host = rest[rest.index(after: slash)...]
      guard host.isEmpty || host.lowercased() == "%2f" else {
        throw UsageError("--amqp: the virtual host must be /, written as /%2f or omitted")
      }
      rest = rest[..<slash]
    }
    var user = serviceToken == nil ? "guest" : "parley"
    var password = serviceToken ?? "guest"
    if let at = rest.lastIndex(of: "@") {
      let parts = rest[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, let name = PercentEncoding.decode(parts[0].utf8, plusIsSpace: false),
        let secret = PercentEncoding.decode(parts[1].utf8, plusIsSpace: false)
      else { throw wrong }
      (user, password) = (name, secret)
      rest = rest[rest.index(after: at)...]
    }
    let hasPort = rest.hasSuffix("]") ? false : rest.contains(":")
    let address = try ServiceURL("http://" + rest + (hasPort ? "" : isSecure(url) ? ":5671" : ":5672"), "amqp").address
    return BrokerAddress(address: address, user: user, password: password)
  }

  /// Whether the URL is of AMQP over TLS.
  static func isSecure(_ url: String) -> Bool { url.hasPrefix("amqps://") }

  /// The URL without user and password.
  static func redacted(_ url: String) -> String {
    guard let at = url.lastIndex(of: "@") else { return url }
    return (isSecure(url) ? "amqps" : "amqp") + "://***" + url[at...]
  }
}

/// The URL of another service: `http://host:port` or `https://host:port`.
struct ServiceURL {
  let address: SocketAddress
  /// Whether the service uses TLS.
  let isSecure: Bool

  /// Parses a URL. `setting` names the flag in errors.
  init(_ url: String, _ setting: String) throws(UsageError) {
    let wrong = UsageError("--\(setting): \"\(url)\" is not of the form http://host:port or https://host:port")
    isSecure = url.hasPrefix("https://")
    guard isSecure || url.hasPrefix("http://") else { throw wrong }
    let rest = url.dropFirst(isSecure ? "https://".count : "http://".count).prefix { $0 != "/" }
    guard let colon = rest.lastIndex(of: ":"), let port = UInt16(rest[rest.index(after: colon)...]), port > 0 else {
      throw wrong
    }
    var host = String(rest[..<colon])
    if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
    guard !host.isEmpty else { throw wrong }
    address = SocketAddress(host: host, port: port)
  }
}

/// `ServiceURLMapping.json` in the data directory: the addresses of other services for the Customer
/// Server.
struct ServiceURLMapping {
  var credentialServer: ServiceURL?
  var userManager: ServiceURL?

  init(folder: String) throws(UsageError) {
    let path = folder + "/ServiceURLMapping.json"
    guard let bytes = readFile(path) else { return }
    let root: JSONValue
    do throws(JSONError) { root = try JSONParser.parse(bytes) } catch {
      throw UsageError("\(path):\(error.position): \(error.reason)")
    }
    guard let members = root.members else { throw UsageError("\(path): expected an object, found \(root.kind)") }
    for member in members {
      guard let text = member.value.string else {
        throw UsageError("\(path): \(member.name) must be a string: host:port")
      }
      let url = text.contains("://") ? text : "http://" + text
      switch member.name {
      case "CREDENTIAL_SERVER": credentialServer = try Self.address(url, path, member.name)
      case "USER_MANAGER": userManager = try Self.address(url, path, member.name)
      default: continue
      }
    }
  }

  private static func address(_ url: String, _ path: String, _ name: String) throws(UsageError) -> ServiceURL {
    do throws(UsageError) { return try ServiceURL(url, name) } catch {
      throw UsageError("\(path): \(name) must be host:port")
    }
  }
}
