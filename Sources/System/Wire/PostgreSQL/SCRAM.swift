/// The names and limits of SCRAM-SHA-256 (RFC 5802, RFC 7677), and what both sides compute.
enum SCRAM {
  /// What a client says of the channel below SCRAM (RFC 5802 §6). Both sides sign it, so nobody on
  /// the path can change it.
  enum Channel {
    /// The client does not support channel binding.
    case unsupported
    /// The client supports channel binding, and believes that the server does not. A server that
    /// does refuses this: somebody has removed the mechanism from its list.
    case notOffered
    /// The exchange is for the channel with this value of `tls-server-end-point` (RFC 5929 §4).
    case serverEndPoint([UInt8])

    /// The mechanism that the client chooses.
    var mechanism: String {
      switch self {
      case .unsupported, .notOffered: "SCRAM-SHA-256"
      case .serverEndPoint: "SCRAM-SHA-256-PLUS"
      }
    }

    /// The beginning of the client's first message: `gs2-header`.
    var header: String {
      switch self {
      case .unsupported: "n,,"
      case .notOffered: "y,,"
      case .serverEndPoint: "p=tls-server-end-point,,"
      }
    }

    /// The attribute `c` of the client's final message.
    var proof: String {
      switch self {
      case .unsupported, .notOffered: Base64.encode(header.utf8)
      case .serverEndPoint(let value): Base64.encode(Array(header.utf8) + value)
      }
    }
  }

  /// The fewest rounds (RFC 7677 §4): a server that asks for fewer would get a proof that is easy
  /// to guess the password from.
  static let minimumRounds = 4096
  /// The most rounds, some two seconds of work. A server chooses the number, so it is bounded.
  static let maximumRounds = 5_000_000
  /// The longest message and the longest salt, in bytes.
  static let maximumMessage = 4096
  static let maximumSalt = 1024

  /// An attribute of a message: `r=…`.
  struct Attribute {
    let name: UInt8
    let value: ArraySlice<UInt8>
  }

  /// Splits a message into its attributes.
  static func attributes(of message: [UInt8]) throws(PostgresProtocolError) -> [Attribute] {
    guard message.count <= maximumMessage else { throw PostgresProtocolError("a message of SCRAM that is too long") }
    var attributes: [Attribute] = []
    for part in message.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
      guard part.count >= 2, part[part.startIndex + 1] == UInt8(ascii: "=") else {
        throw PostgresProtocolError("a message of SCRAM without attributes")
      }
      attributes.append(Attribute(name: part[part.startIndex], value: part.dropFirst(2)))
    }
    return attributes
  }

  /// The printable characters of a nonce, without the comma (RFC 5802 §7).
  static func isNonce(_ text: ArraySlice<UInt8>) -> Bool {
    !text.isEmpty && text.allSatisfy { (0x21...0x7E).contains($0) && $0 != UInt8(ascii: ",") }
  }

  /// The password as both sides hash it: SASLprep (RFC 4013), as far as it is known here. ASCII
  /// stays. In other texts, spaces become U+0020, characters without width go, and the rest is put
  /// in normalization form C. Passwords with compatibility characters, such as ligatures, would
  /// need form KC; their users have to be given others. As in PostgreSQL, a password that
  /// SASLprep prohibits is used as it is.
  static func prepared(_ password: String) -> [UInt8] {
    if password.isASCII { return Array(password.utf8) }
    var mapped = String.UnicodeScalarView()
    for scalar in password.unicodeScalars {
      let properties = scalar.properties
      if mappedToNothing.contains(where: { $0.contains(scalar.value) }) { continue }
      switch properties.generalCategory {
      case .spaceSeparator: mapped.append(" ")
      case .control, .privateUse, .unassigned, .surrogate, .lineSeparator, .paragraphSeparator:
        return Array(password.utf8)
      default: mapped.append(scalar)
      }
    }
    return Array(String(mapped).normalized.utf8)
  }

  /// RFC 3454, table B.1.
  private static let mappedToNothing: [ClosedRange<UInt32>] = [
    0xAD...0xAD, 0x34F...0x34F, 0x1806...0x1806, 0x180B...0x180D, 0x200B...0x200D, 0x2060...0x2060,
    0xFE00...0xFE0F, 0xFEFF...0xFEFF,
  ]
}

/// Work of SCRAM that takes long on purpose. Run it in the compute lane.
public struct SCRAMDerivation: Hashable, Sendable {
  let password: [UInt8]
  let salt: [UInt8]
  let rounds: Int

  /// Returns the salted password: 32 bytes (RFC 5802 §2.2, `Hi`).
  public func run() -> [UInt8] { Cryptography.pbkdf2(password: password, salt: salt, rounds: rounds) }
}

/// The keys that follow from a salted password (RFC 5802 §3).
struct SCRAMKeys {
  let client: [UInt8]
  let stored: [UInt8]
  let server: [UInt8]

  init(saltedPassword: [UInt8]) {
    let key = HMACSHA256(key: saltedPassword)
    client = key.code("Client Key".utf8)
    stored = Cryptography.sha256(client)
    server = key.code("Server Key".utf8)
  }
}

/// The client's side of SCRAM-SHA-256: messages in, messages out.
struct SCRAMClient {
  private let password: [UInt8]
  private let nonce: [UInt8]
  private let channel: SCRAM.Channel
  private var firstBare: [UInt8]
  private var authMessage: [UInt8] = []
  private var fullNonce: [UInt8] = []
  private var serverSignature: [UInt8]?

  /// `nonce` is random, 18 bytes or more.
  init(password: String, nonce: [UInt8], _ channel: SCRAM.Channel = .unsupported) {
    self.channel = channel
    self.password = SCRAM.prepared(password)
    self.nonce = Array(Base64.encode(nonce).utf8)
    // PostgreSQL takes the user of the start-up.
    firstBare = Array("n=,r=".utf8) + self.nonce
  }

  /// The client's first message.
  var first: [UInt8] { Array(channel.header.utf8) + firstBare }

  /// Takes the server's first message. Its salted password is what `finish` needs.
  mutating func receive(first message: [UInt8]) throws(PostgresProtocolError) -> SCRAMDerivation {
    let attributes = try SCRAM.attributes(of: message)
    // Extensions may follow; a mandatory one, `m`, would come first.
    guard attributes.count >= 3, attributes[0].name == UInt8(ascii: "r"), attributes[1].name == UInt8(ascii: "s"),
      attributes[2].name == UInt8(ascii: "i")
    else { throw PostgresProtocolError("SCRAM: the server's first message lacks r, s or i") }
    let (nonce, rounds) = (attributes[0].value, Int(String(decoding: attributes[2].value, as: UTF8.self)))
    guard nonce.starts(with: self.nonce), nonce.count > self.nonce.count, SCRAM.isNonce(nonce) else {
      throw PostgresProtocolError("SCRAM: the server's nonce does not continue the client's")
    }
    guard let salt = Base64.decode(attributes[1].value), !salt.isEmpty, salt.count <= SCRAM.maximumSalt else {
      throw PostgresProtocolError("SCRAM: an invalid salt")
    }
    guard let rounds, attributes[2].value.allSatisfy(\.isDigit) else {
      throw PostgresProtocolError("SCRAM: an invalid number of iterations")
    }
    guard (SCRAM.minimumRounds...SCRAM.maximumRounds).contains(rounds) else {
      throw PostgresProtocolError(
        "SCRAM: \(rounds) iterations; accepted are \(SCRAM.minimumRounds) to \(SCRAM.maximumRounds)")
    }
    fullNonce = Array(nonce)
    let withoutProof = finalWithoutProof
    authMessage = firstBare + [UInt8(ascii: ",")] + message + [UInt8(ascii: ",")] + withoutProof
    return SCRAMDerivation(password: password, salt: salt, rounds: rounds)
  }

  private var finalWithoutProof: [UInt8] {
    Array("c=\(channel.proof),r=".utf8) + fullNonce
  }

  /// Returns the client's final message, with its proof.
  mutating func finish(saltedPassword: [UInt8]) -> [UInt8] {
    let keys = SCRAMKeys(saltedPassword: saltedPassword)
    let signature = HMACSHA256(key: keys.stored).code(authMessage)
    serverSignature = HMACSHA256(key: keys.server).code(authMessage)
    let proof = zip(keys.client, signature).map { $0 ^ $1 }
    return finalWithoutProof + Array(",p=\(Base64.encode(proof))".utf8)
  }

  /// Takes the server's final message, and checks that the server knows the password, too.
  mutating func receive(final message: [UInt8]) throws(PostgresProtocolError) {
    let attributes = try SCRAM.attributes(of: message)
    guard let serverSignature, let first = attributes.first, first.name == UInt8(ascii: "v"),
      let shown = Base64.decode(first.value), Cryptography.constantTimeEqual(shown, serverSignature)
    else { throw PostgresProtocolError("SCRAM: the server does not prove that it knows the password") }
    self.serverSignature = nil
  }
}

/// What a server keeps of a password (RFC 5803).
public struct SCRAMVerifier: Sendable {
  let salt: [UInt8]
  let rounds: Int
  let stored: [UInt8]
  let server: [UInt8]

  /// Derives the verifier of a password, which takes long on purpose.
  public init(password: String, salt: [UInt8], rounds: Int = 4096) {
    self.salt = salt
    self.rounds = rounds
    let work = SCRAMDerivation(password: SCRAM.prepared(password), salt: salt, rounds: rounds)
    let keys = SCRAMKeys(saltedPassword: work.run())
    (stored, server) = (keys.stored, keys.server)
  }
}

/// The server's side of SCRAM-SHA-256, for the simulated server and for tests of the client.
public struct SCRAMServer: Sendable {
  private let verifier: SCRAMVerifier
  private let nonce: [UInt8]
  private let endPoint: [UInt8]?
  private var channel = SCRAM.Channel.unsupported
  private var authMessage: [UInt8] = []
  private var finalNonce: [UInt8] = []

  /// `nonce` is random, 18 bytes or more. `endPoint` is the value of `tls-server-end-point` on a
  /// channel that has one; the server offers SCRAM-SHA-256-PLUS then.
  public init(_ verifier: SCRAMVerifier, nonce: [UInt8], endPoint: [UInt8]? = nil) {
    self.endPoint = endPoint
    self.verifier = verifier
    self.nonce = Array(Base64.encode(nonce).utf8)
  }

  /// Takes the client's first message. Returns the server's first message.
  public mutating func receive(first message: [UInt8]) throws(PostgresProtocolError) -> [UInt8] {
    switch (message.first, endPoint) {
    case (UInt8(ascii: "n"), _): channel = .unsupported
    case (UInt8(ascii: "y"), nil): channel = .notOffered
    case (UInt8(ascii: "y"), _?):
      throw PostgresProtocolError("SCRAM: the client does not know that the server supports channel binding")
    case (_, let endPoint?): channel = .serverEndPoint(endPoint)
    case (_, nil): throw PostgresProtocolError("SCRAM: channel binding is not supported")
    }
    guard message.starts(with: channel.header.utf8) else {
      throw PostgresProtocolError("SCRAM: an unknown channel binding")
    }
    let bare = Array(message.dropFirst(channel.header.utf8.count))
    let attributes = try SCRAM.attributes(of: bare)
    guard attributes.count == 2, attributes[0].name == UInt8(ascii: "n"), attributes[1].name == UInt8(ascii: "r"),
      SCRAM.isNonce(attributes[1].value)
    else { throw PostgresProtocolError("SCRAM: the client's first message lacks n or r") }
    finalNonce = Array(attributes[1].value) + nonce
    let answer = Array("r=".utf8) + finalNonce + Array(",s=\(Base64.encode(verifier.salt)),i=\(verifier.rounds)".utf8)
    authMessage = bare + [UInt8(ascii: ",")] + answer
    return answer
  }

  /// Takes the client's final message. Returns the server's final message, or nil for a wrong
  /// password.
  public mutating func receive(final message: [UInt8]) throws(PostgresProtocolError) -> [UInt8]? {
    let attributes = try SCRAM.attributes(of: message)
    guard attributes.count == 3, attributes[0].name == UInt8(ascii: "c"), attributes[1].name == UInt8(ascii: "r"),
      attributes[2].name == UInt8(ascii: "p"), attributes[1].value.elementsEqual(finalNonce),
      let proof = Base64.decode(attributes[2].value), proof.count == HMACSHA256.length
    else { throw PostgresProtocolError("SCRAM: the client's final message is malformed") }
    guard Cryptography.constantTimeEqual(Array(attributes[0].value), Array(channel.proof.utf8)) else {
      throw PostgresProtocolError("SCRAM: the client's channel is another one")
    }
    // The proof and `,p=` are not part of what is signed.
    let signed = authMessage + [UInt8(ascii: ",")] + message.prefix(message.count - attributes[2].value.count - 3)
    let signature = HMACSHA256(key: verifier.stored).code(signed)
    let key = zip(proof, signature).map { $0 ^ $1 }
    guard Cryptography.constantTimeEqual(Cryptography.sha256(key), verifier.stored) else { return nil }
    return Array("v=\(Base64.encode(HMACSHA256(key: verifier.server).code(signed)))".utf8)
  }
}
