import Environment

/// How the User Service is set up.
public struct UserServiceOptions: Sendable {
  /// Where it listens.
  public var address = SocketAddress(host: "127.0.0.1", port: 8001)
  /// The keys of the tokens; the first signs, any verifies. Without one, a random one is kept in the data directory.
  public var secrets: [[UInt8]] = []
  /// How long an access token is valid.
  public var accessTokenLifetime: Duration = .seconds(3600)
  /// How long a refresh token is valid.
  public var refreshTokenLifetime: Duration = .seconds(7 * 86_400)
  /// What the tokens' `iss` and `aud` are, where they are set: tokens that name another are refused.
  public var issuer: String?
  /// See `issuer`.
  public var audience: String?
  /// How long after its last use a session ends; zero for never.
  public var sessionLifetime: Duration = .seconds(30 * 86_400)
  /// Sessions that one user may have.
  public var maximumSessions = 1000
  /// Registrations from one address in 15 minutes; 0 for any number.
  public var registrationLimit = 20
  /// Rounds of PBKDF2 for new passwords.
  public var passwordRounds = PasswordHash.defaultRounds
  /// How the HTTP server behaves.
  public var server = HTTPServerOptions()
  /// What the database promises.
  public var database = DatabaseOptions()
  /// Bugs to plant; none but in tests and scenarios.
  public var planted = PlantedBugs()

  /// The contract's defaults.
  public init() {}
}
