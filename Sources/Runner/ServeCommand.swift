import Environment
import Glibc
import Real
import System

/// `parley serve`: runs services until a signal ends them.
enum ServeCommand {
  static let usage = """
    parley serve [SERVICE]… [FLAGS]

    Runs until SIGTERM or SIGINT, then drains: refuses new connections, answers the requests in
    flight for at most 10 s, and closes the databases. Prints `listening NAME URL` for each socket, then `ready`; logs go to standard error.
    In brackets: the environment variable and the key in the JSON5 configuration that set the same value.
    """
  static let flags = [
    Flag(name: "config", placeholder: "FILE", help: "default DIR/parley.json5 if it exists [PARLEY_CONFIG]"),
    Flag(
      name: "check", placeholder: nil, help: "validate, print the effective configuration with secrets blanked, exit"),
  ]

  /// The settings as flags, and the flags that are no settings.
  static let allFlags =
    Setting.all.map {
      Flag(name: $0.flag, placeholder: $0.placeholder, help: $0.help, isRepeatable: $0.isRepeatable)
    } + flags

  /// All flags, with their defaults, variables and keys.
  static let documentedFlags =
    Setting.all.map {
      let standard = $0.standard.map { " (default \($0))" } ?? ""
      return Flag(
        name: $0.flag, placeholder: $0.placeholder, help: "\($0.help)\(standard) [\($0.variable), \($0.key)]")
    } + flags

  /// The services of this version, in the order in which they start.
  static let services = ["broker", "users", "manager", "supervisor", "chat", "customers"]

  static func run(_ words: [String]) throws(UsageError) -> Int32 {
    let arguments = try Arguments(words, flags: allFlags)
    for word in arguments.words where !services.contains(word) {
      let hint = Spelling.hint(word, among: services)
      throw UsageError("unknown service \"\(word)\"; the services are: \(services.joined(separator: ", "))\(hint)")
    }
    let variables = environmentVariables()
    do throws(InheritedSockets.Unusable) { try InheritedSockets.shared.take(variables) } catch {
      throw UsageError(error.reason)
    }
    let configuration = try Configuration(arguments, environment: variables)
    let chosen = services.filter { arguments.words.isEmpty || arguments.words.contains($0) }
    try Preflight(configuration, services: chosen).check()
    if arguments.has("check") {
      print(configuration.json.text)
      return 0
    }
    return try serve(chosen, configuration)
  }

  private static func serve(_ services: [String], _ configuration: Configuration) throws(UsageError) -> Int32 {
    let signals = StopSignals()
    FileLimit.raise()
    let data = configuration.text("data")
    let storage: RealStorage
    do throws(StorageError) {
      storage = try RealStorage(path: data)
    } catch {
      throw UsageError("--data \(data): \(describe(error))")
    }
    let log = LogWriter(LogFormat(rawValue: configuration.text("log-format"))!)
    defer { log.finish() }
    let output = BackgroundWriter(descriptor: 1)
    func say(_ line: String) { output.add { $0 += (line + "\n").utf8 } }
    let files = TLSFiles(configuration)
    let certificates = try files.makeCertificates()
    let host = Host(configuration, certificates, storage: storage, log: log, say: say)
    for service in services {
      do { try host.start(service) } catch {
        throw UsageError(explain(error, service, data: data, configuration.database(of: service)))
      }
    }
    let level = Log.Level.allCases.first { $0.name == configuration.text("log-level") }!
    CertificateWatch(files, certificates, Log(node: "tls", threshold: level) { log.write($0) }, signals).start()
    let own = Log(node: "serve", threshold: level) { log.write($0) }
    for address in InheritedSockets.shared.addresses {
      own.warning("socket-not-used", ["address": .string("\(address)"), "advice": "no service listens on it"])
    }
    let manager = ServiceManager(environmentVariables(), own)
    say("ready")
    manager.tell("READY=1\nSTATUS=serves \(services.joined(separator: ", "))")
    manager.watch(host.check)
    let signal = signals.wait()
    manager.tell("STOPPING=1")
    do { try host.drain(signal) } catch { throw UsageError("shutdown failed: \(error)") }
    output.finish(withinSeconds: 1)
    return 0
  }

  /// An error message that tells an operator what to do.
  private static func explain(
    _ error: any Error, _ service: String, data: String, _ server: String?
  ) -> String {
    switch error {
    case NetworkError.addressInUse(let address): "port \(address.port) on \(address.host) is in use"
    case NetworkError.permissionDenied(let address): "this user may not listen on \(address)"
    case NetworkError.unreachable(let why): "cannot listen: \(why)"
    case let error as UsageError: error.message
    case let error as DatabaseError where server != nil: "\(PostgresURL.redacted(server!)): \(error.reason)"
    case let error as DatabaseError: "\(data)/\(service == "users" ? "accounts" : service).db: \(error.reason)"
    case let error as StorageError: "--data \(data): \(describe(error))"
    default: "cannot start: \(error)"
    }
  }

  static func describe(_ error: StorageError) -> String {
    switch error {
    case .notFound(let path): "\(path) does not exist"
    case .locked(let path): "\(path) is in use by another process"
    case .full(let path): "\(path): no space left on device"
    case .denied(let what), .failed(let what): what
    case .nodeDown: "the node is down"
    }
  }
}

/// The environment variables of the process.
func environmentVariables() -> [(name: String, value: String)] {
  var result: [(name: String, value: String)] = []
  var next = environ
  while let entry = next.pointee {
    let text = String(cString: entry)
    if let equals = text.firstIndex(of: "=") {
      result.append((String(text[..<equals]), String(text[text.index(after: equals)...])))
    }
    next += 1
  }
  return result
}
