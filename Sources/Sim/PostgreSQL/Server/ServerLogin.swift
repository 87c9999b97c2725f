import Environment
import System

/// The beginning of a connection, up to the end of authentication (PostgreSQL 15, §55.2.1 and
/// §55.3).
struct ServerLogin {
  enum Step {
    /// Waits for more messages.
    case goOn
    /// The client has shown who it is.
    case done(ServerSettings)
    case cancel(process: Int, key: [UInt8])
    /// The connection ends after the output.
    case end
  }

  private enum Phase {
    case start
    case saslInitial(ServerSettings)
    case saslFinal(ServerSettings, SCRAMServer)
  }

  private let options: PostgreSQLOptions
  private let verifier: SCRAMVerifier?
  private let entropy: any Entropy
  private var phase = Phase.start
  private var user = ""
  private var database: String?
  /// What is to be sent.
  var output: [UInt8] = []

  init(_ options: PostgreSQLOptions, _ verifier: SCRAMVerifier?, _ entropy: any Entropy) {
    self.options = options
    self.verifier = verifier
    self.entropy = entropy
  }

  /// Takes a message. `refusal` is an error that all clients get.
  mutating func receive(_ message: PostgresFrontendMessage, refusal: ServerError?) throws(PostgresProtocolError) -> Step
  {
    switch (phase, message) {
    case (.start, .sslRequest), (.start, .gssRequest):
      output.append(UInt8(ascii: "N"))
      return .goOn
    case (.start, .cancel(let process, let key)): return .cancel(process: Int(process), key: key)
    case (.start, .startup(_, let parameters)): return start(parameters, refusal)
    case (.saslInitial(let settings), .authentication(let bytes)):
      // The mechanism, and the first message with its length.
      guard let end = bytes.firstIndex(of: 0), bytes[..<end].elementsEqual("SCRAM-SHA-256".utf8), bytes.count >= end + 5
      else { return refuse("08P01", "malformed SASL message") }
      var server = SCRAMServer(verifier!, nonce: entropy.bytes(18))
      let answer = try server.receive(first: Array(bytes[(end + 5)...]))
      phase = .saslFinal(settings, server)
      PostgresBackendMessage.authentication(.saslContinue(answer)).write(to: &output)
      return .goOn
    case (.saslFinal(let settings, var server), .authentication(let bytes)):
      guard let answer = try server.receive(final: bytes), user == options.user else {
        return refuse("28P01", "password authentication failed for user \"\(user)\"")
      }
      PostgresBackendMessage.authentication(.saslFinal(answer)).write(to: &output)
      return finish(settings)
    case (_, .terminate): return .end
    default: return refuse("08P01", "expected another message")
    }
  }

  private mutating func start(_ parameters: [PostgresParameter], _ refusal: ServerError?) -> Step {
    var settings = ServerSettings()
    for parameter in parameters {
      switch parameter.name {
      case "user": user = parameter.value
      case "database": database = parameter.value
      default:
        guard settings.start(parameter.name, parameter.value) else {
          return refuse("42704", "unrecognized configuration parameter \"\(parameter.name)\"")
        }
      }
    }
    if user.isEmpty { return refuse("28000", "no PostgreSQL user name specified in startup packet") }
    if let refusal { return refuse(refusal.code, refusal.message) }
    guard verifier == nil else {
      phase = .saslInitial(settings)
      PostgresBackendMessage.authentication(.sasl(["SCRAM-SHA-256"])).write(to: &output)
      return .goOn
    }
    guard user == options.user else { return refuse("28000", "role \"\(user)\" does not exist") }
    return finish(settings)
  }

  private mutating func finish(_ settings: ServerSettings) -> Step {
    let database = database ?? user
    guard database == options.database else { return refuse("3D000", "database \"\(database)\" does not exist") }
    PostgresBackendMessage.authentication(.ok).write(to: &output)
    let names = [
      ("application_name", "application_name"), ("client_encoding", "client_encoding"), ("DateStyle", "datestyle"),
      ("integer_datetimes", "integer_datetimes"), ("IntervalStyle", "intervalstyle"),
      ("server_encoding", "server_encoding"), ("server_version", "server_version"),
      ("standard_conforming_strings", "standard_conforming_strings"), ("TimeZone", "timezone"),
    ]
    for (name, setting) in names {
      PostgresBackendMessage.parameterStatus(PostgresParameter(name, settings[setting]!)).write(to: &output)
    }
    return .done(settings)
  }

  private mutating func refuse(_ code: String, _ message: String) -> Step {
    PostgresBackendMessage.error(ServerError(code, message).fields("FATAL")).write(to: &output)
    return .end
  }
}
