@testable import Environment
@testable import Simulation
import Testing

@testable import System

/// Certificates of an authority of the tests. They are valid from 2026-01-01 to 2027-01-01.
enum TestCertificates {
  static let start = Timestamp(seconds: 1_767_225_600)
  static let end = Timestamp(seconds: 1_798_761_600)
  static let middle = Timestamp(seconds: 1_780_000_000)

  static func entropy(_ seed: UInt64 = 1) -> any Entropy { SimEntropy(seed: seed, node: "tests", boot: 1) }

  static func authority(_ seed: UInt64 = 1) throws -> CertificateMaker {
    try CertificateMaker(authority: "Authority \(seed)", from: start, to: end, entropy: entropy(seed))
  }

  static func pair(
    _ names: String..., of authority: CertificateMaker, from start: Timestamp = start, to end: Timestamp = end
  ) throws -> CertificatePair {
    try authority.pair(for: names, from: start, to: end, entropy: entropy(9))
  }
}

/// TLS without a network.
@Suite("TLS streams")
struct SecureStreamTests {
  /// Two ends, and the bytes that they exchange.
  private final class Ends {
    let client: SecureStream
    let server: SecureStream
    private(set) var transcript: [UInt8] = []

    init(
      client: ClientContext, server: ServerContext, at time: Timestamp = TestCertificates.middle,
      serverTime: Timestamp = TestCertificates.middle, seed: UInt64 = 1
    ) {
      self.client = SecureStream(client: client, Randomness(TestCertificates.entropy(seed)), at: time)
      self.server = SecureStream(server: server, Randomness(TestCertificates.entropy(seed + 1)), at: serverTime)
    }

    /// Shakes hands, and gives each end its bytes in pieces of `size`.
    func shakeHands(inPiecesOf size: Int = .max) throws {
      for _ in 0..<8 where !(client.isEstablished && server.isEstablished) {
        _ = try client.shakeHands()
        try pass(client.takeOutput(), to: server, size)
        try pass(server.takeOutput(), to: client, size)
      }
      try #require(client.isEstablished && server.isEstablished)
    }

    private func pass(_ bytes: [UInt8], to end: SecureStream, _ size: Int) throws {
      transcript += bytes
      var rest = bytes[...]
      while !rest.isEmpty {
        end.receive(Array(rest.prefix(size)))
        rest = rest.dropFirst(size)
        if !end.isEstablished { _ = try end.shakeHands() }
      }
    }
  }

  private let authority: CertificateMaker
  private let server: ServerContext

  init() throws {
    authority = try TestCertificates.authority()
    server = try ServerContext([try TestCertificates.pair("users", "127.0.0.1", of: authority)], for: .http)
  }

  private func client(_ name: String = "users", trust: Trust? = nil) throws -> ClientContext {
    try ClientContext(name: name, trust: trust ?? .authorities([authority.authority]), application: .http)
  }

  private func readAll(_ stream: SecureStream, atMost limit: Int = 65_536) throws -> [UInt8] {
    var all: [UInt8] = []
    while case .bytes(let bytes) = try stream.read(atMost: limit) {
      #expect((1...limit).contains(bytes.count))
      all += bytes
    }
    return all
  }

  @Test("a handshake and what follows arrive in pieces of any size", arguments: [1, 2, 3, 5, 7, 100, 4096])
  func pieces(size: Int) throws {
    let ends = Ends(client: try client(), server: server)
    try ends.shakeHands(inPiecesOf: size)
    #expect(ends.client.version == "TLSv1.3")
    #expect(ends.client.application == .http && ends.server.application == .http)
    let sent = (0..<70_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    try ends.client.write(sent[...])
    var received: [UInt8] = []
    var rest = ends.client.takeOutput()[...]
    while !rest.isEmpty {
      ends.server.receive(Array(rest.prefix(size)))
      rest = rest.dropFirst(size)
      received += try readAll(ends.server, atMost: 1000)
    }
    #expect(received == sent)
  }

  @Test("a connection has the same bytes each time, for the same entropy and time")
  func determinism() throws {
    var transcripts: [[UInt8]] = []
    for seed in [1, 1, 5] as [UInt64] {
      let ends = Ends(client: try client(), server: server, seed: seed)
      try ends.shakeHands()
      transcripts.append(ends.transcript)
    }
    #expect(transcripts[0] == transcripts[1])
    #expect(transcripts[0] != transcripts[2])
  }

  @Test(
    "a client says why it refuses a certificate",
    arguments: [
      ("users", TestCertificates.end + .seconds(1), "the certificate of users has expired"),
      ("users", TestCertificates.start + .seconds(-1), "the certificate of users is not yet valid"),
      ("chat", TestCertificates.middle, "the certificate of chat is for another name"),
      ("127.0.0.2", TestCertificates.middle, "the certificate of 127.0.0.2 is for another name"),
    ])
  func refusal(name: String, time: Timestamp, reason: String) throws {
    let ends = Ends(client: try client(name), server: server, at: time)
    #expect(throws: NetworkError.insecure(reason)) { try ends.shakeHands() }
    #expect(throws: NetworkError.insecure(reason)) { _ = try ends.client.read(atMost: 1) }
    // The server hears of it by an alert.
    ends.server.receive(ends.client.takeOutput())
    #expect(throws: NetworkError.self) { _ = try ends.server.shakeHands() }
  }

  @Test("a client refuses an authority that it does not know")
  func unknownAuthority() throws {
    let other = try TestCertificates.authority(2).authority
    let ends = Ends(client: try client(trust: .authorities([other])), server: server)
    #expect(throws: NetworkError.insecure("the certificate of users is of an unknown authority")) {
      try ends.shakeHands()
    }
  }

  @Test("a client may trust exactly one certificate, also under another name and after its expiry")
  func exactly() throws {
    let late = TestCertificates.end + .seconds(1)
    let own = try client("", trust: .exactly([server.pairs[0].leaf]))
    try Ends(client: own, server: server, at: late).shakeHands()
    let other = try client("", trust: .exactly([try TestCertificates.pair("users", of: authority).leaf]))
    #expect(throws: NetworkError.self) { try Ends(client: other, server: server, at: late).shakeHands() }
  }

  @Test("the modes of PostgreSQL: any server, and any name")
  func lax() throws {
    let other = try TestCertificates.authority(2).authority
    try Ends(client: try client("chat", trust: .anyone), server: server).shakeHands()
    try Ends(client: try client("chat", trust: .anyName([authority.authority])), server: server).shakeHands()
    #expect(throws: NetworkError.self) {
      try Ends(client: try client("chat", trust: .anyName([other])), server: server).shakeHands()
    }
  }

  @Test(
    "a wildcard stands for the whole first label, and the subject does not count",
    arguments: [
      ("a.example.com", true), ("example.com", false), ("a.b.example.com", false), ("fa.example.org", false),
    ])
  func wildcards(name: String, isCovered: Bool) throws {
    let pair = try TestCertificates.pair("*.example.com", "f*.example.org", of: authority)
    #expect(pair.leaf.covers(name) == isCovered)
  }

  @Test("a server shows the certificate of the name that the client asks for")
  func serverNames() throws {
    let names = ["a.example.com", "b.example.com"]
    let pairs = try names.map { try TestCertificates.pair($0, of: authority) }
    let server = try ServerContext(pairs, for: .http)
    for name in names { try Ends(client: try client(name), server: server).shakeHands() }
    let stranger = Ends(client: try client("c.example.com", trust: .anyone), server: server)
    try stranger.shakeHands()
    #expect(stranger.client.peerCertificate == pairs[0].leaf)
  }

  @Test("a server refuses a client that offers other protocols only")
  func protocols() throws {
    let amqp = try ClientContext(name: "users", trust: .authorities([authority.authority]), application: .amqp)
    #expect(throws: NetworkError.self) { try Ends(client: amqp, server: server).shakeHands() }
    let none = try ClientContext(name: "users", trust: .authorities([authority.authority]), application: nil)
    let ends = Ends(client: none, server: server)
    try ends.shakeHands()
    #expect(ends.server.application == nil)
    // A server whose protocol has no identifier takes any client.
    let open = try ServerContext(server.pairs, for: nil)
    try Ends(client: amqp, server: open).shakeHands()
  }

  @Test("a client may prove its name, but only by a valid certificate of an authority of services")
  func clientCertificates() throws {
    let services = try TestCertificates.authority(3)
    let asking = try ServerContext(server.pairs, for: .http, clientAuthorities: [services.authority])
    func shake(_ pair: CertificatePair?, serverTime: Timestamp = TestCertificates.middle) throws -> Certificate? {
      let context = try ClientContext(
        name: "users", trust: .authorities([authority.authority]), application: .http, pair: pair)
      let ends = Ends(client: context, server: asking, serverTime: serverTime)
      try ends.shakeHands()
      return ends.server.peerCertificate
    }
    #expect(try shake(nil) == nil)
    let pair = try TestCertificates.pair("chat", of: services)
    #expect(try shake(pair) == pair.leaf)
    #expect(throws: NetworkError.insecure("the client's certificate has expired")) {
      _ = try shake(pair, serverTime: TestCertificates.end + .seconds(1))
    }
    #expect(throws: NetworkError.insecure("the client's certificate is of an unknown authority")) {
      _ = try shake(try TestCertificates.pair("chat", of: authority))
    }
  }

  @Test("close_notify ends a stream, and nothing else does")
  func truncation() throws {
    let ends = Ends(client: try client(), server: server)
    try ends.shakeHands()
    try ends.client.write([1, 2, 3])
    ends.client.endWriting()
    #expect(throws: NetworkError.closed) { try ends.client.write([4]) }
    ends.server.receive(ends.client.takeOutput())
    #expect(try ends.server.read(atMost: 10) == .bytes([1, 2, 3]))
    #expect(try ends.server.read(atMost: 10) == .end)
    // The other direction is cut off, at the end of a record.
    try ends.server.write([5])
    ends.client.receive(ends.server.takeOutput())
    ends.client.receiveEnd()
    #expect(try ends.client.read(atMost: 10) == .bytes([5]))
    #expect(throws: NetworkError.reset) { _ = try ends.client.read(atMost: 10) }
  }

  @Test("a stream that is cut off within the handshake or a record is reset", arguments: [0, 1, 5, 20, 40])
  func cut(at count: Int) throws {
    let early = Ends(client: try client(), server: server)
    _ = try early.client.shakeHands()
    early.server.receive(Array(early.client.takeOutput().prefix(count)))
    early.server.receiveEnd()
    #expect(throws: NetworkError.reset) { _ = try early.server.shakeHands() }
    let ends = Ends(client: try client(), server: server)
    try ends.shakeHands()
    try ends.client.write(Array(repeating: 1, count: 100)[...])
    ends.server.receive(Array(ends.client.takeOutput().prefix(count)))
    ends.server.receiveEnd()
    #expect(throws: NetworkError.reset) { _ = try ends.server.read(atMost: 10) }
  }

  @Test("a changed byte anywhere in a record is found, and told to the peer")
  func changedBytes() throws {
    for index in [0, 1, 5, 6, 20, 37] {
      let ends = Ends(client: try client(), server: server)
      try ends.shakeHands()
      try ends.client.write(Array(repeating: 1, count: 16)[...])
      var record = ends.client.takeOutput()
      record[index] ^= 1
      ends.server.receive(record)
      #expect {
        _ = try ends.server.read(atMost: 100)
      } throws: {
        if case .insecure? = $0 as? NetworkError { true } else { false }
      }
      #expect(ends.server.unsent > 0, "an alert")
    }
  }

  @Test(
    "garbage is no handshake", arguments: ["GET / HTTP/1.1\r\n\r\n", "AMQP\0\0\u{9}\u{1}", "\u{16}\u{3}\u{1}~~~~~~~"])
  func garbage(text: String) throws {
    let ends = Ends(client: try client(), server: server)
    ends.server.receive(Array(text.utf8))
    #expect {
      _ = try ends.server.shakeHands()
      ends.server.receiveEnd()
      _ = try ends.server.shakeHands()
    } throws: {
      $0 is NetworkError
    }
  }

  @Test("the channel binding is the hash of the server's certificate")
  func channelBinding() throws {
    let pair = try CertificateMaker.selfSigned(
      for: ["db.example.com"], from: TestCertificates.start, to: TestCertificates.end,
      entropy: TestCertificates.entropy())
    #expect(pair.leaf.serverEndPoint == Cryptography.sha256(pair.leaf.der))
    #expect(authority.authority.serverEndPoint == nil)
  }

  @Test("a pair survives its PEM form, and a key of another certificate is refused")
  func files() throws {
    let pair = try TestCertificates.pair("users", of: authority)
    let again = try CertificatePair(certificate: pair.leaf.pem, key: pair.keyPEM)
    #expect(again.leaf == pair.leaf)
    let other = try CertificateMaker.selfSigned(
      for: ["users"], from: TestCertificates.start, to: TestCertificates.end, entropy: TestCertificates.entropy())
    #expect(throws: TLSError.self) { _ = try CertificatePair(certificate: pair.leaf.pem, key: other.keyPEM) }
    #expect(throws: TLSError.self) { _ = try CertificatePair(certificate: pair.keyPEM, key: pair.keyPEM) }
    #expect(throws: TLSError.self) { _ = try CertificatePair(certificate: pair.leaf.pem, key: []) }
    #expect(pair.leaf.notBefore == TestCertificates.start && pair.leaf.notAfter == TestCertificates.end)
  }
}
