import Environment

/// The kinds of tokens.
enum TokenKind: String, Sendable {
  case access
  case refresh
}

/// A token's `jti`: which login it descends from, and which one it is.
///
/// Ours are `FAMILY.UNIQUE`. One of another form, from another issuer with the same key, is a login of its own: the part before
/// its last dot, or all of it, is the family of the tokens that are made from it.
struct TokenID: Hashable, Sendable {
  private static let maximumBytes = 255

  /// The login; every token made from it by refreshing has the same.
  let family: String
  /// The whole `jti`, which is unique to the token.
  let text: String

  init?(_ text: String) {
    let bytes = text.utf8
    let family = bytes.lastIndex(of: UInt8(ascii: ".")).map { bytes[..<$0] } ?? bytes[...]
    // A refreshed token's is 25 bytes longer than its family, so that only a foreign one can be too long.
    guard !bytes.isEmpty, family.count <= Self.maximumBytes, bytes.count <= Self.maximumBytes + 32 else { return nil }
    self.text = text
    self.family = family.isEmpty ? text : String(Substring(family))
  }
}

/// What a good token says.
struct TokenClaims: Sendable {
  let subject: String
  let id: TokenID
  let expires: Timestamp
}

/// Makes and reads tokens.
struct TokenIssuer {
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

  /// What login and refresh answer, as JSON: an access token, a refresh token, and how long the first is good for. Without
  /// a `family` they begin a login of their own.
  @inline(never)
  func issue(to subject: String, family: String?, at now: Timestamp, entropy: any Entropy) -> [UInt8] {
    withUnsafeTemporaryAllocation(byteCount: family == nil ? 36 : 24, alignment: 1) { random in
      entropy.fill(random)
      return issue(to: subject, family, UnsafeRawBufferPointer(random), at: now)
    }
  }

  private func issue(to subject: String, _ family: String?, _ random: UnsafeRawBufferPointer, at now: Timestamp)
    -> [UInt8]
  {
    let writeFamily = { (output: inout ByteWriter) in
      if let family { output.append(jsonEscaped: family) } else { output.append(hex: random[24...]) }
    }
    return [UInt8](expecting: 1024) { answer in
      // Nothing in a token has to be escaped.
      answer.append("{\"access_token\":\"")
      sign(.access, subject, writeFamily, random[..<12], now, now + accessLifetime, to: &answer)
      answer.append("\",\"refresh_token\":\"")
      sign(.refresh, subject, writeFamily, random[12..<24], now, now + refreshLifetime, to: &answer)
      answer.append("\",\"token_type\":\"bearer\",\"expires_in\":")
      answer.append(decimal: accessLifetime.components.seconds)
      answer.append("}")
    }
  }

  /// The claims are `TokenClaims`, and its `jti` is a `TokenID`.
  private func sign(
    _ kind: TokenKind, _ subject: String, _ writeFamily: (inout ByteWriter) -> Void,
    _ unique: Slice<UnsafeRawBufferPointer>, _ now: Timestamp, _ expires: Timestamp, to output: inout ByteWriter
  ) {
    jwt.sign(to: &output) { claims in
      claims.append("{\"sub\":")
      claims.append(json: subject)
      claims.append(",\"type\":")
      claims.append(json: kind.rawValue)
      claims.append(",\"exp\":")
      claims.append(decimal: expires.seconds)
      claims.append(",\"iat\":")
      claims.append(decimal: now.seconds)
      claims.append(",\"jti\":\"")
      writeFamily(&claims)
      claims.append(".")
      claims.append(hex: unique)
      claims.append("\"")
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

  /// The claims of a token of this kind that is valid now; otherwise why it is not.
  func read(_ token: String, as kind: TokenKind, at now: Timestamp) -> Result<TokenClaims, TokenFault> {
    let claims: JSONValue
    do throws(JWT.Failure) { claims = try jwt.verify(token) } catch { return .failure(.invalid) }
    guard claims["type"]?.string == kind.rawValue, let subject = claims["sub"]?.string,
      (1...Self.maximumSubject).contains(subject.utf8.count), claims["iat"]?.number != nil,
      let expires = claims["exp"]?.numericDate, let id = claims["jti"]?.string.flatMap(TokenID.init),
      isForUs(claims)
    else { return .failure(.invalid) }
    guard now < expires else { return .failure(.expired) }
    if let notBefore = claims["nbf"] {
      guard let begin = notBefore.numericDate, now >= begin else { return .failure(.invalid) }
    }
    return .success(TokenClaims(subject: subject, id: id, expires: expires))
  }

  /// Bytes of a `sub`; ours have 64.
  private static let maximumSubject = 255

  /// Whether the issuer and the audience that a token names, if it does, are those that are configured, if any are. A token
  /// without them may be one of before they were configured.
  private func isForUs(_ claims: JSONValue) -> Bool {
    if let issuer, let claim = claims["iss"], claim.string?.hasSameBytes(as: issuer) != true { return false }
    guard let audience, let claim = claims["aud"] else { return true }
    // One string, or an array of them (RFC 7519 §4.1.3).
    let named = claim.array ?? [claim]
    return named.contains { $0.string?.hasSameBytes(as: audience) == true }
  }
}

extension JSONValue {
  /// A `NumericDate` (RFC 7519 §2): seconds since the epoch, which may have a fraction. Nil for anything but a number; those beyond
  /// all dates are the last one or the first.
  fileprivate var numericDate: Timestamp? {
    switch self {
    case .int(let seconds): Timestamp(seconds: seconds)
    case .double(let seconds): Timestamp(microseconds: Int64(clamping: seconds * 1e6))
    default: nil
    }
  }
}

extension Int64 {
  /// The integer nearest to a number, or the last on its side. The parser of JSON gives finite numbers alone.
  fileprivate init(clamping number: Double) {
    self = Int64(exactly: number.rounded(.down)) ?? (number < 0 ? .min : .max)
  }
}

/// Who the bearers of access tokens are: asked on the HTTP server's executor alone, so that a request with a bad token costs
/// no call to the service.
final class AccessTokenVerifier: @unchecked Sendable {
  private let issuer: TokenIssuer
  private let clock: any Clock
  private let planted: PlantedBugs

  init(_ clock: any Clock, _ options: UserServiceOptions) {
    self.clock = clock
    issuer = TokenIssuer(options)
    planted = options.planted
  }

  /// The time by which tokens are judged.
  var validityTime: Timestamp { planted(.ignoresExpiry) ? Timestamp(seconds: 0) : clock.wallTime }

  /// Who shows an access token. Whether its login was revoked is asked in the transaction.
  func principal(_ call: Call) throws(HTTPFailure) -> Principal {
    guard let token = call.bearerToken else { throw .unauthorized("an access token is needed") }
    return try principal(token: token)
  }

  /// Whose an access token is.
  func principal(token: String) throws(HTTPFailure) -> Principal {
    switch issuer.read(token, as: .access, at: validityTime) {
    case .success(let claims): return Principal(subject: claims.subject, login: claims.id.family)
    case .failure(let fault): throw fault.failure
    }
  }
}

/// Why a token is of no use.
enum TokenFault: Error {
  case invalid
  case expired

  var failure: HTTPFailure {
    switch self {
    case .invalid: .unauthorized("invalid token")
    case .expired: .unauthorized("the token has expired")
    }
  }
}

extension HTTPFailure {
  static func unauthorized(_ message: String) -> HTTPFailure {
    HTTPFailure(401, message, fields: [("www-authenticate", "Bearer")])
  }
}
