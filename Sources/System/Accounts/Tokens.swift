import Environment

/// The kinds of tokens.
enum TokenKind: String, Sendable {
  case access
  case refresh
}

/// A login. All tokens that descend from it by refreshing carry it in their `jti`.
struct LoginID: Hashable, Sendable {
  let value: String

  init(_ value: String) { self.value = value }
}

extension Principal {
  /// The account that the token was issued to.
  var account: AccountID { AccountID(subject) }
  /// The login that the token descends from.
  var loginID: LoginID { LoginID(login) }
}

/// A token's `jti`, which names its login and the token itself.
///
/// Parley writes `LOGIN.UNIQUE`. A token of another issuer with the same key may have any other
/// form: the part before its last dot, or all of it, is its login.
struct TokenID: Hashable, Sendable {
  private static let maximumBytes = 255

  /// The login; tokens made by refreshing keep it.
  let family: LoginID
  /// The whole `jti`, which is unique.
  let text: String

  init?(_ text: String) {
    let bytes = text.utf8
    let family = bytes.lastIndex(of: UInt8(ascii: ".")).map { bytes[..<$0] } ?? bytes[...]
    // A refreshed token's `jti` is 25 bytes longer than its login, so only a foreign one can be too
    // long.
    guard !bytes.isEmpty, !bytes.contains(0), family.count <= Self.maximumBytes, bytes.count <= Self.maximumBytes + 32
    else { return nil }
    self.text = text
    self.family = LoginID(family.isEmpty ? text : String(Substring(family)))
  }
}

/// The claims of a valid token.
struct TokenClaims: Sendable {
  let subject: AccountID
  let id: TokenID
  let expires: Timestamp
  /// The generation of the account's logins. The claim `gen` has it unless it is 0, as in tokens of
  /// other issuers.
  let generation: Int64
}

/// Issues and verifies tokens.
struct TokenIssuer: Sendable {
  private let jwt: JWT
  private let accessLifetime: Duration
  private let refreshLifetime: Duration
  private let issuer: String?
  private let audience: String?

  init(_ options: UserServiceOptions) {
    jwt = JWT(secrets: options.secrets)
    issuer = options.issuer
    audience = options.audience
    accessLifetime = options.accessTokenLifetime
    refreshLifetime = options.refreshTokenLifetime
  }

  /// Issues an access token and a refresh token, as the JSON body that login and refresh answer.
  /// - Parameter family: The login to continue; nil begins a new one.
  func issue(
    to subject: AccountID, family: LoginID?, generation: Int64, at now: Timestamp, entropy: any Entropy
  ) -> [UInt8] {
    let random = entropy.bytes(family == nil ? 36 : 24)
    let login = family ?? LoginID(Hex.encode(random[24...]))
    return [UInt8](expecting: 1024) { answer in
      // A token has no character that JSON escapes.
      answer.append("{\"access_token\":\"")
      sign(.access, subject, login, generation, random[..<12], now, now + accessLifetime, to: &answer)
      answer.append("\",\"refresh_token\":\"")
      sign(.refresh, subject, login, generation, random[12..<24], now, now + refreshLifetime, to: &answer)
      answer.append("\",\"token_type\":\"bearer\",\"expires_in\":")
      answer.append(decimal: accessLifetime.components.seconds)
      answer.append("}")
    }
  }

  /// Signs the claims that `read` expects; the `jti` is a `TokenID`.
  private func sign(
    _ kind: TokenKind, _ subject: AccountID, _ login: LoginID, _ generation: Int64, _ unique: ArraySlice<UInt8>,
    _ now: Timestamp, _ expires: Timestamp, to output: inout ByteWriter
  ) {
    jwt.sign(to: &output) { claims in
      claims.append("{\"sub\":")
      claims.append(json: subject.value)
      claims.append(",\"type\":")
      claims.append(json: kind.rawValue)
      claims.append(",\"exp\":")
      claims.append(decimal: expires.seconds)
      claims.append(",\"iat\":")
      claims.append(decimal: now.seconds)
      claims.append(",\"jti\":\"")
      claims.append(jsonEscaped: login.value)
      claims.append(".")
      claims.append(hex: unique)
      claims.append("\"")
      if generation != 0 {
        claims.append(",\"gen\":")
        claims.append(decimal: generation)
      }
      if let issuer {
        claims.append(",\"iss\":")
        claims.append(json: issuer)
      }
      if let audience {
        claims.append(",\"aud\":")
        claims.append(json: audience)
      }
      claims.append("}")
    }
  }

  /// Returns the claims of a token of this kind that is valid at `now`, or the reason why it is
  /// not.
  func read(_ token: String, as kind: TokenKind, at now: Timestamp) -> Result<TokenClaims, TokenFault> {
    let claims: JSONValue
    do throws(JWT.Failure) { claims = try jwt.verify(token) } catch { return .failure(.invalid) }
    guard claims["type"]?.string == kind.rawValue, let subject = claims["sub"]?.string,
      (1...Self.maximumSubject).contains(subject.utf8.count), !subject.utf8.contains(0), claims["iat"]?.number != nil,
      let expires = claims["exp"]?.numericDate, let id = claims["jti"]?.string.flatMap(TokenID.init),
      isForUs(claims)
    else { return .failure(.invalid) }
    guard now < expires else { return .failure(.expired) }
    var generation: Int64 = 0
    if let claim = claims["gen"] {
      guard let number = claim.int else { return .failure(.invalid) }
      generation = number
    }
    if let notBefore = claims["nbf"] {
      guard let begin = notBefore.numericDate, now >= begin else { return .failure(.invalid) }
    }
    return .success(TokenClaims(subject: AccountID(subject), id: id, expires: expires, generation: generation))
  }

  /// The maximum length of a `sub` in bytes; Parley's have 64.
  private static let maximumSubject = 255

  /// Whether the token's issuer and audience are the configured ones. A claim that is missing is
  /// accepted, since the token may be older than the setting.
  private func isForUs(_ claims: JSONValue) -> Bool {
    if let issuer, let claim = claims["iss"], claim.string?.hasSameBytes(as: issuer) != true { return false }
    guard let audience, let claim = claims["aud"] else { return true }
    // One string, or an array of them (RFC 7519 §4.1.3).
    let named = claim.array ?? [claim]
    return named.contains { $0.string?.hasSameBytes(as: audience) == true }
  }
}

extension JSONValue {
  /// The value as a `NumericDate` (RFC 7519 §2): seconds since the epoch, with an optional
  /// fraction. Nil unless it is a number; saturates beyond the first and the last time.
  fileprivate var numericDate: Timestamp? {
    switch self {
    case .int(let seconds): Timestamp(seconds: seconds)
    case .double(let seconds): Timestamp(microseconds: Int64(clamping: seconds * 1e6))
    default: nil
    }
  }
}

extension Int64 {
  /// Rounds a number down; saturates. The JSON parser returns only finite numbers.
  fileprivate init(clamping number: Double) {
    self = Int64(exactly: number.rounded(.down)) ?? (number < 0 ? .min : .max)
  }
}

/// Verifies access tokens on the executor of the HTTP server, so that a request with an invalid
/// token never reaches the service.
struct AccessTokenVerifier: Sendable {
  private let issuer: TokenIssuer
  private let clock: any Clock
  private let planted: PlantedBugs

  init(_ clock: any Clock, _ issuer: TokenIssuer, planted: PlantedBugs) {
    self.clock = clock
    self.issuer = issuer
    self.planted = planted
  }

  /// The time at which tokens are judged.
  var validityTime: Timestamp { planted(.ignoresExpiry) ? Timestamp(seconds: 0) : clock.wallTime }

  /// Returns the bearer of a request's access token. The transaction checks whether its login was
  /// revoked.
  func principal(_ call: Call) throws(AccountRefusal) -> Principal {
    guard let token = call.bearerToken else { throw .needsAccessToken }
    return try principal(token: token)
  }

  /// Returns the bearer of an access token.
  func principal(token: String) throws(AccountRefusal) -> Principal {
    switch issuer.read(token, as: .access, at: validityTime) {
    case .success(let claims):
      return Principal(subject: claims.subject.value, login: claims.id.family.value, generation: claims.generation)
    case .failure(let fault): throw fault.refusal
    }
  }
}

/// The reason why a token is refused.
enum TokenFault: Error {
  case invalid
  case expired

  var refusal: AccountRefusal {
    switch self {
    case .invalid: .invalidToken
    case .expired: .tokenExpired
    }
  }
}
