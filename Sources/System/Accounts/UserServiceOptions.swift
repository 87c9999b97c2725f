import Environment

/// The settings of the User Service.
public struct UserServiceOptions: Sendable {
  /// The address to listen on.
  public var address = SocketAddress(host: "127.0.0.1", port: 8001)
  /// The keys of the tokens: the first signs, each verifies. Without any, the service keeps a
  /// random key in the data directory.
  public var secrets: [[UInt8]] = []
  /// The lifetime of an access token.
  public var accessTokenLifetime: Duration = .seconds(3600)
  /// The lifetime of a refresh token.
  public var refreshTokenLifetime: Duration = .seconds(7 * 86_400)
  /// The `iss` of tokens, if it is set. Tokens with another one are refused.
  public var issuer: String?
  /// The `aud` of tokens, if it is set. Tokens with another one are refused.
  public var audience: String?
  /// The time after its last use at which a session ends; zero for never.
  public var sessionLifetime: Duration = .seconds(30 * 86_400)
  /// The maximum number of sessions of a user.
  public var maximumSessions = 1000
  /// The maximum number of registrations from one address in 15 minutes; 0 for no limit.
  public var registrationLimit = 20
  /// The rounds of PBKDF2 for new passwords.
  public var passwordRounds = PasswordHash.defaultRounds
  /// The settings of the HTTP server.
  public var server = HTTPServerOptions()
  /// The settings of the database.
  public var database = DatabaseOptions()
  /// Bugs to plant; none but in tests and scenarios.
  public var planted = PlantedBugs()

  /// The contract's defaults.
  public init() {}
}
