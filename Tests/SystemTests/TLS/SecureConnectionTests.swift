@testable import Environment
@testable import Simulation
import Testing

@testable import System

/// TLS over the simulated network.
@Suite("TLS connections")
struct SecureConnectionTests {
  private static let address = SocketAddress(host: "server", port: 1)

  /// The certificates of both ends, valid at the time of a simulation.
  private struct Trust {
    let server: Certificates
    let client: Certificates
    let authority: CertificateMaker

    init(_ environment: Environment, lifetime: Duration = .seconds(86_400)) throws {
      let now = environment.clock.wallTime
      authority = try CertificateMaker(
        authority: "tests", from: now + .seconds(-86_400), to: now + .seconds(900_000),
        entropy: TestCertificates.entropy())
      var contents = Certificates.Contents()
      contents.pairs = [try Self.pair(of: authority, from: now, lifetime: lifetime)]
      server = try Certificates(contents)
      var trusted = Certificates.Contents()
      trusted.authorities = [authority.authority]
      client = try Certificates(trusted)
    }

    func pair(from now: Timestamp, lifetime: Duration) throws -> CertificatePair {
      try Self.pair(of: authority, from: now, lifetime: lifetime)
    }

    private static func pair(
      of authority: CertificateMaker, from now: Timestamp, lifetime: Duration
    ) throws -> CertificatePair {
      try authority.pair(
        for: ["server"], from: now + .seconds(-3600), to: now + lifetime, entropy: TestCertificates.entropy(2))
    }
  }

  private static func listener(_ environment: Environment, _ trust: Trust) throws -> any Listener {
    try SecureNetwork(environment, certificates: trust.server, peers: [:])
      .listen(address, backlog: 1000, for: .http)
  }

  private static func connect(
    _ environment: Environment, _ trust: Trust, patience: Duration = .seconds(5)
  ) async throws -> any Connection {
    let peers = [address: SecurePeer(.http, .named)]
    let network = SecureNetwork(environment, certificates: trust.client, peers: peers)
    return try await network.connect(to: address, deadline: environment.clock.now + patience)
  }

  /// A node that does `serve` with one connection, and a visitor who does `visit`.
  private func meet<R: Sendable>(
    seed: UInt64 = 1, lifetime: Duration = .seconds(86_400), link: (inout LinkSetting) -> Void = { _ in },
    serve: @escaping @Sendable (any Connection, Environment) async throws -> Void,
    visit: @escaping @Sendable (any Connection, Environment) async throws -> R
  ) throws -> R {
    let world = World(seed: seed)
    link(&world.link)
    world.addNode("server") { environment in
      let listener = try Self.listener(environment, try Trust(environment, lifetime: lifetime))
      try await serve(try await listener.accept(), environment)
      return nil
    }.start()
    world.run(until: .milliseconds(10))
    return try world.perform { environment in
      try await visit(try await Self.connect(environment, try Trust(environment)), environment)
    }
  }

  private static func readAll(_ connection: any Connection, atMost limit: Int = 700) async throws -> [UInt8] {
    var all: [UInt8] = []
    while case let bytes = try await connection.read(atMost: limit, deadline: nil), !bytes.isEmpty { all += bytes }
    return all
  }

  @Test(
    "bytes arrive whole and in order both ways, cut anywhere, up to the end", arguments: 1...20 as ClosedRange<UInt64>)
  func order(seed: UInt64) throws {
    let sent = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 * 7) }
    let received = try meet(
      seed: seed, link: { $0.splits = 0.5 },
      serve: { connection, _ in
        try await connection.write(try await Self.readAll(connection), deadline: nil)
        connection.close()
      }
    ) { connection, environment in
      try await connection.write(Array(sent[..<10]), deadline: nil)
      var rest = sent[10...]
      while !rest.isEmpty {
        let count = try connection.writeNow(rest)
        rest = rest.dropFirst(count)
        if count == 0 { try await environment.clock.sleep(for: .milliseconds(1)) }
      }
      connection.shutdownWrite()
      return try await Self.readAll(connection)
    }
    #expect(received == sent)
  }

  @Test("a full network delays a writer, and the bytes of writeNow are sent by themselves")
  func backPressure() throws {
    let (taken, received) = try meet(
      link: { $0.window = 4096 },
      serve: { connection, environment in
        try await connection.write([9], deadline: nil)
        try await environment.clock.sleep(for: .seconds(3))
        connection.close()
        _ = try await Self.readAll(connection)
      }
    ) { connection, environment in
      let taken = try connection.writeNow(Array(repeating: 7, count: 300_000)[...])
      #expect(try connection.writeNow([1]) == 0)
      let late = await #expect(throws: NetworkError.timedOut) {
        try await connection.write([1], deadline: environment.clock.now + .seconds(1))
      }
      return (taken, late == nil)
    }
    #expect(taken == 65_536)
    #expect(!received)
  }

  @Test("a connection that ends without close_notify is reset")
  func truncation() throws {
    let world = World(seed: 1)
    world.addNode("server") { environment in
      // A server that speaks TLS and then drops the connection below it.
      let trust = try Trust(environment)
      let listener = try environment.network.listen(Self.address, backlog: 1)
      let bare = try await listener.accept()
      let context = trust.server.server(.http)
      let secure = SecureConnection(server: context, SecureConnection.Node(environment), bare)
      try await secure.write([1, 2, 3], deadline: nil)
      bare.close()
      return nil
    }.start()
    world.run(until: .milliseconds(10))
    try world.perform { environment in
      let connection = try await Self.connect(environment, try Trust(environment))
      #expect(try await connection.read(atMost: 10, deadline: nil) == [1, 2, 3])
      await #expect(throws: NetworkError.reset) { _ = try await connection.read(atMost: 10, deadline: nil) }
    }
  }

  @Test("a client that sends nothing, or half a handshake, has 10 s", arguments: [0, 50])
  func silence(count: Int) throws {
    let world = World(seed: 1)
    final class Seen: @unchecked Sendable {
      var error: (any Error)?
      var time: Duration = .zero
    }
    let seen = Seen()
    world.addNode("server") { environment in
      let connection = try await Self.listener(environment, try Trust(environment)).accept()
      let begin = environment.clock.now
      do { _ = try await connection.read(atMost: 10, deadline: nil) } catch { seen.error = error }
      seen.time = environment.clock.now - begin
      return nil
    }.start()
    world.run(until: .milliseconds(10))
    try world.perform { environment in
      let context = try ClientContext(name: "server", trust: .anyone, application: .http)
      let stream = SecureStream(client: context, Randomness(environment.entropy), at: environment.clock.wallTime)
      _ = try stream.shakeHands()
      let connection = try await environment.network.connect(
        to: Self.address, deadline: environment.clock.now + .seconds(1))
      try await connection.write(Array(stream.takeOutput().prefix(count)), deadline: nil)
      try await environment.clock.sleep(for: .seconds(20))
    }
    #expect(seen.error as? NetworkError == .timedOut)
    #expect(seen.time > .seconds(9) && seen.time < .seconds(11))
  }

  @Test("the handshakes under way with one host are bounded, and each is released at its end")
  func floods() throws {
    let limit = HandshakeLimit()
    let most = HandshakeLimit.share / HandshakeLimit.bytes
    for _ in 0..<most { #expect(limit.begin(with: "a")) }
    #expect(!limit.begin(with: "a"))
    #expect(limit.begin(with: "b"))
    limit.end(with: "a", isCompleted: true)
    #expect(limit.begin(with: "a"))
    #expect(limit.counts.refused == 1 && limit.counts.completed == 1)
    for host in 0..<2 { for _ in 0..<most { _ = limit.begin(with: "other \(host)") } }
    var last = 0
    while limit.begin(with: "last") { last += 1 }
    #expect(last == most - 1, "one less, since b has one")
  }

  @Test("a replaced certificate is for new connections, and the handshakes under way end with the old one")
  func replacement() throws {
    let world = World(seed: 1)
    world.addNode("server") { environment in
      let trust = try Trust(environment, lifetime: .seconds(60))
      let listener = try Self.listener(environment, trust)
      let old = try await listener.accept()
      let renewed = try trust.pair(from: environment.clock.wallTime, lifetime: .seconds(7200))
      var contents = trust.server.contents
      contents.pairs = [renewed]
      try trust.server.replace(with: contents)
      #expect(throws: TLSError.self) { try trust.server.replace(with: Certificates.Contents()) }
      // The handshake begins after the replacement.
      try await old.write([1], deadline: nil)
      while true {
        let next = try await listener.accept()
        try await next.write([2], deadline: nil)
      }
    }.start()
    world.run(until: .milliseconds(10))
    let expiries = try world.perform { environment in
      let trust = try Trust(environment)
      var expiries: [Duration] = []
      for _ in 0..<2 {
        let connection = try await Self.connect(environment, trust)
        _ = try await connection.read(atMost: 1, deadline: nil)
        let certificate = (connection as? SecureConnection)?.peerCertificate
        expiries.append(certificate!.notAfter - environment.clock.wallTime)
      }
      return expiries
    }
    #expect(expiries[0] <= .seconds(60) && expiries[1] > .seconds(7000))
  }

  @Test("each listener of a node accepts its own protocol only")
  func protocols() throws {
    let other = SocketAddress(host: "server", port: 2)
    let world = World(seed: 1)
    world.addNode("server") { environment in
      let trust = try Trust(environment)
      let network = SecureNetwork(environment, certificates: trust.server, peers: [:])
      let listeners = [
        try network.listen(Self.address, backlog: 10, for: .http), try network.listen(other, backlog: 10, for: .amqp),
      ]
      for listener in listeners {
        environment.executor.spawn("accept") {
          while let connection = try? await listener.accept() { try? await connection.write([1], deadline: nil) }
        }
      }
      return nil
    }.start()
    world.run(until: .milliseconds(10))
    let accepted = try world.perform { environment in
      let trust = try Trust(environment)
      var accepted: [Bool] = []
      for address in [Self.address, other] {
        for application in ApplicationProtocol.allCases {
          let network = SecureNetwork(
            environment, certificates: trust.client, peers: [address: SecurePeer(application, .named)])
          do {
            let connection = try await network.connect(
              to: address, deadline: environment.clock.now + .seconds(5))
            accepted.append(try await connection.read(atMost: 1, deadline: nil) == [1])
          } catch NetworkError.insecure {
            accepted.append(false)
          }
        }
      }
      return accepted
    }
    #expect(accepted == [true, false, false, true])
  }

  @Test("a certificate that expires in mid-run is refused afterwards, and open connections stay")
  func expiry() throws {
    try meet(
      lifetime: .seconds(60),
      serve: { connection, environment in
        while case let bytes = try await connection.read(atMost: 1, deadline: nil), !bytes.isEmpty {
          try await connection.write(bytes, deadline: nil)
        }
      }
    ) { connection, environment in
      try await environment.clock.sleep(for: .seconds(100))
      try await connection.write([1], deadline: nil)
      #expect(try await connection.read(atMost: 1, deadline: nil) == [1])
    }
    let world = World(seed: 1)
    world.addNode("server") { environment in
      let listener = try Self.listener(environment, try Trust(environment, lifetime: .seconds(60)))
      while true {
        let connection = try await listener.accept()
        _ = try? await connection.read(atMost: 1, deadline: nil)
      }
    }.start()
    world.run(until: .milliseconds(10))
    try world.perform { environment in
      let trust = try Trust(environment)
      try await environment.clock.sleep(for: .seconds(100))
      await #expect(throws: NetworkError.insecure("the certificate of server has expired")) {
        _ = try await Self.connect(environment, trust)
      }
    }
  }
}
