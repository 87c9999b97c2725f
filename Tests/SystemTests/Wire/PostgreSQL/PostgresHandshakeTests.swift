import Testing

@testable import System

@Suite("PostgreSQL's handshake")
struct PostgresHandshakeTests {
  private static let nonce = Array(UInt8(0)..<18)

  private static func startup(
    password: String? = "pencil", isLocal: Bool = false, _ encryption: PostgresStartup.Encryption = .never
  ) -> PostgresStartup {
    var startup = PostgresStartup(user: "u", password: password, database: "d", isLocal: isLocal)
    startup.encryption = encryption
    return startup
  }

  private static func bytes(_ messages: PostgresBackendMessage...) -> [UInt8] {
    messages.reduce(into: []) { $1.write(to: &$0) }
  }

  private static let greeting = bytes(
    .authentication(.ok), .parameterStatus(PostgresParameter("server_version", "15.18 (Debian)")),
    .backendKey(process: 7, key: [1, 2, 3, 4]), .readyForQuery(.idle))

  private static func sent(_ actions: [PostgresHandshake.Action]) throws -> [PostgresFrontendMessage] {
    try actions.compactMap { action in
      guard case .send(let bytes) = action else { return nil }
      return try PostgresFrontendMessage(type: bytes[0], payload: bytes[5...])
    }
  }

  @Test("trust: a start-up, then the connection is ready")
  func trust() throws {
    var handshake = PostgresHandshake(Self.startup(password: nil), nonce: Self.nonce)
    guard case .send(let first)? = handshake.start().first else { return #expect(Bool(false)) }
    #expect(
      try PostgresFrontendMessage(startup: first[4...])
        == .startup(minor: 0, [PostgresParameter("user", "u"), PostgresParameter("database", "d")]))
    var actions: [PostgresHandshake.Action] = []
    for byte in Self.greeting + [0x4E] { actions += try handshake.receive([byte]) }
    guard case .ready(let server)? = actions.first, actions.count == 1 else { return #expect(Bool(false)) }
    #expect(server.majorVersion == 15)
    #expect(server.process == 7)
    // The byte after the handshake is kept.
    #expect(handshake.takeParser().bytesUnderWay == 1)
  }

  private static let plain = ["SCRAM-SHA-256"]
  private static let both = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]

  /// Plays the server's side of SCRAM. `change` may alter each of its messages. The channel of the
  /// client is encrypted if `encryption` is given; the server's has the binding `serverEndPoint`.
  private static func scram(
    serverPassword: String = "pencil", clientPassword: String = "pencil", rounds: Int = 4096,
    offered: [String] = plain, mechanism wanted: String = "SCRAM-SHA-256", _ encryption: PostgresEncryption? = nil,
    serverEndPoint: [UInt8]? = nil, change: ([UInt8]) -> [UInt8] = { $0 }
  ) throws -> PostgresHandshake.Action? {
    var handshake = PostgresHandshake(
      startup(password: clientPassword, encryption == nil ? .never : .required), nonce: nonce)
    var server = SCRAMServer(
      SCRAMVerifier(password: serverPassword, salt: [1, 2, 3, 4], rounds: rounds), nonce: Array(20..<38),
      endPoint: serverEndPoint)
    _ = handshake.start()
    if let encryption {
      #expect(try handshake.receive([0x53]) == [.startTLS])
      _ = handshake.tlsStarted(encryption)
    }
    let initial = try sent(try handshake.receive(bytes(.authentication(.sasl(offered)))))
    guard case .authentication(let data)? = initial.first else { return nil }
    let (mechanism, message) = try PostgresSASL.readInitialResponse(data)
    #expect(mechanism == wanted)
    let first = change(try server.receive(first: message))
    guard case .derive(let work)? = try handshake.receive(bytes(.authentication(.saslContinue(first)))).first,
      case .authentication(let proof)? = try sent(try handshake.derived(work.run())).first
    else { return nil }
    guard let final = try server.receive(final: proof) else {
      throw PostgresFields(severity: "FATAL", code: .invalidPassword, message: "wrong password")
    }
    return try handshake.receive(bytes(.authentication(.saslFinal(change(final)))) + greeting).first
  }

  @Test("SCRAM: both sides prove that they know the password")
  func scram() throws {
    guard case .ready? = try Self.scram() else { return #expect(Bool(false)) }
    #expect(throws: PostgresFields.self) { try Self.scram(clientPassword: "pencil2") }
  }

  @Test("SCRAM is bound to the channel if both sides can, and only then goes without")
  func channels() throws {
    let here = PostgresEncryption(endPoint: [1, 2, 3], isVerified: false)
    let nowhere = PostgresEncryption(endPoint: nil, isVerified: false)
    let bound = "SCRAM-SHA-256-PLUS"
    guard case .ready? = try Self.scram(offered: Self.both, mechanism: bound, here, serverEndPoint: [1, 2, 3]),
      // The server has no binding.
      case .ready? = try Self.scram(offered: Self.plain, here),
      // The client has none, as with a certificate that is signed by Ed25519.
      case .ready? = try Self.scram(offered: Self.both, nowhere, serverEndPoint: [1, 2, 3])
    else { return #expect(Bool(false)) }
    // Somebody on the path has ended TLS, with a certificate of his own.
    #expect(throws: PostgresProtocolError.self) {
      try Self.scram(offered: Self.both, mechanism: bound, here, serverEndPoint: [4, 5, 6])
    }
    // He has also shortened the list.
    #expect(throws: PostgresProtocolError.self) {
      try Self.scram(offered: Self.plain, here, serverEndPoint: [1, 2, 3])
    }
    // He has removed TLS.
    #expect(throws: PostgresRefusal.self) { try Self.scram(offered: Self.both) }
    #expect(throws: PostgresRefusal.self) { try Self.scram(offered: [bound], nowhere) }
  }

  @Test("a client that says that it cannot bind, and signs that it can, is refused")
  func changedHeader() throws {
    var client = SCRAMClient(password: "pencil", nonce: Self.nonce, .notOffered)
    var server = SCRAMServer(
      SCRAMVerifier(password: "pencil", salt: [1, 2, 3, 4]), nonce: Array(20..<38), endPoint: [1, 2, 3])
    let changed = Array("n".utf8) + client.first.dropFirst()
    let work = try client.receive(first: try server.receive(first: changed))
    let final = client.finish(saltedPassword: work.run())
    #expect(throws: PostgresProtocolError.self) { _ = try server.receive(final: final) }
  }

  @Test("SCRAM equals the example of RFC 7677")
  func example() throws {
    let salt = try #require(Base64.decode("W22ZaJ0SNY7soEsUEjb6gQ==".utf8))
    let salted = SCRAMDerivation(password: Array("pencil".utf8), salt: salt, rounds: 4096).run()
    let first = "n=user,r=rOprNGfwEbeRWgbNEkqO"
    let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    let message = "\(first),r=\(nonce),s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=\(nonce)"
    let keys = SCRAMKeys(saltedPassword: salted)
    let proof = zip(keys.client, HMACSHA256(key: keys.stored).code(message.utf8)).map { $0 ^ $1 }
    #expect(Base64.encode(proof) == "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    #expect(
      Base64.encode(HMACSHA256(key: keys.server).code(message.utf8)) == "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
  }

  @Test("a server that does not know the password, or asks for too little or too much work, is refused")
  func falseServers() {
    for prefix in ["v=", "r=", "e="] {
      #expect(throws: (any Error).self, "\(prefix)") {
        try Self.scram { $0.starts(with: prefix.utf8) ? Array("v=AAAA".utf8) : prefix == "e=" ? Array("e=x".utf8) : $0 }
      }
    }
    for rounds in [1, 4095] { #expect(throws: PostgresProtocolError.self) { try Self.scram(rounds: rounds) } }
    for text in ["5000001", "99999999999999999999", "-1", "+4096", ""] {
      #expect(throws: PostgresProtocolError.self, "\(text)") {
        var client = SCRAMClient(password: "x", nonce: Self.nonce)
        let nonce = String(decoding: client.first.dropFirst("n,,n=,r=".utf8.count), as: UTF8.self)
        _ = try client.receive(first: Array("r=\(nonce)x,s=AQID,i=\(text)".utf8))
      }
    }
  }

  @Test("a server that skips its proof is refused")
  func skippedProof() throws {
    var handshake = PostgresHandshake(Self.startup(), nonce: Self.nonce)
    _ = handshake.start()
    _ = try handshake.receive(Self.bytes(.authentication(.sasl(["SCRAM-SHA-256"]))))
    #expect(throws: PostgresProtocolError.self) { try handshake.receive(Self.greeting) }
  }

  @Test("cleartext and MD5 passwords are sent over loopback and to servers that have proved their name only")
  func plainPasswords() throws {
    for demand in [PostgresBackendMessage.Authentication.cleartextPassword, .md5Password(salt: [1, 2, 3, 4])] {
      var remote = PostgresHandshake(Self.startup(), nonce: Self.nonce)
      _ = remote.start()
      #expect(throws: PostgresRefusal.self) { try remote.receive(Self.bytes(.authentication(demand))) }
      var local = PostgresHandshake(Self.startup(isLocal: true), nonce: Self.nonce)
      _ = local.start()
      #expect(try Self.sent(try local.receive(Self.bytes(.authentication(demand)))).count == 1)
      var encrypted = PostgresHandshake(Self.startup(.required), nonce: Self.nonce)
      _ = encrypted.start()
      #expect(try encrypted.receive([0x53]) == [.startTLS])
      _ = encrypted.tlsStarted(PostgresEncryption(endPoint: nil, isVerified: true))
      #expect(try Self.sent(try encrypted.receive(Self.bytes(.authentication(demand)))).count == 1)
    }
    var anyone = PostgresHandshake(Self.startup(.required), nonce: Self.nonce)
    _ = anyone.start()
    _ = try anyone.receive([0x53])
    _ = anyone.tlsStarted(PostgresEncryption(endPoint: [1], isVerified: false))
    #expect(throws: PostgresRefusal.self) { try anyone.receive(Self.bytes(.authentication(.cleartextPassword))) }
    #expect(
      String(decoding: PostgresSASL.md5(password: "secret", user: "joe", salt: [1, 2, 3, 4]), as: UTF8.self)
        == "md5\(Self.joesHash)")
    var without = PostgresHandshake(Self.startup(password: nil, isLocal: true), nonce: Self.nonce)
    _ = without.start()
    #expect(throws: PostgresRefusal.self) { try without.receive(Self.bytes(.authentication(.cleartextPassword))) }
  }

  /// By `md5sum`.
  private static let joesHash = "850be429f1fe77df3f603ac424abb440"

  @Test("TLS: no byte may come before the handshake of TLS, and require means require")
  func encryption() throws {
    var early = PostgresHandshake(Self.startup(.required), nonce: Self.nonce)
    _ = early.start()
    #expect(throws: PostgresProtocolError.self) { try early.receive([0x53] + Self.greeting) }
    var none = PostgresHandshake(Self.startup(.required), nonce: Self.nonce)
    _ = none.start()
    #expect(throws: PostgresRefusal.self) { try none.receive([0x4E]) }
    var plain = PostgresHandshake(Self.startup(.ifOffered), nonce: Self.nonce)
    _ = plain.start()
    #expect(try plain.receive([0x4E]).count == 1)
    var garbage = PostgresHandshake(Self.startup(.ifOffered), nonce: Self.nonce)
    _ = garbage.start()
    #expect(throws: PostgresProtocolError.self) { try garbage.receive([0x48]) }
  }

  @Test("a refusal of the server keeps its SQLSTATE")
  func refusal() {
    var handshake = PostgresHandshake(Self.startup(), nonce: Self.nonce)
    _ = handshake.start()
    let error = PostgresFields(severity: "FATAL", code: .tooManyConnections, message: "sorry, too many clients already")
    #expect(throws: error) { try handshake.receive(Self.bytes(.error(error))) }
  }
}
