@testable import Environment
@testable import Simulation
@testable import System

extension FuzzTarget {
  /// Two ends of TLS, and somebody on the path between them.
  static let tls = [
    FuzzTarget("tls-records") { input in
      var conversation = TLSConversation(input)
      conversation.run()
    }
  ]
}

/// A conversation inside TLS. The input says what both ends do, and how their bytes are changed on
/// the way.
///
/// Whatever is done to the bytes, an end reads a beginning of what the other end wrote, sees the
/// end of the stream only after the other has ended it, and does nothing more after an error.
private struct TLSConversation {
  private struct End {
    let stream: SecureStream
    /// The number of bytes that were written and that were read.
    var written = 0
    var read = 0
    var failure: NetworkError?
    /// Bytes on the way to this end.
    var arriving: [UInt8] = []

    init(_ stream: SecureStream) { self.stream = stream }
  }

  /// What both ends of all inputs share.
  private struct Contexts: Sendable {
    static let time = Timestamp(seconds: 1_780_000_000)
    static let shared = Contexts()

    let server: ServerContext
    let client: ClientContext

    private init() {
      let (start, end) = (Timestamp(seconds: 1_767_225_600), Timestamp(seconds: 1_798_761_600))
      let entropy = SimEntropy(seed: 1, node: "certificates", boot: 1)
      let authority = try! CertificateMaker(authority: "fuzz", from: start, to: end, entropy: entropy)
      let pair = try! authority.pair(for: ["server"], from: start, to: end, entropy: entropy)
      server = try! ServerContext([pair], for: .http, clientAuthorities: [authority.authority])
      client = try! ClientContext(
        name: "server", trust: .authorities([authority.authority]), application: .http, pair: pair)
    }
  }

  private enum Step: UInt8, CaseIterable {
    case shakeHands, deliver, deliverAll, change, drop, insert, again, write, read, endWriting, cutOff
  }

  /// The most bytes that an end reads or writes at a time.
  private static let piece = 40_000

  private var rest: ArraySlice<UInt8>
  /// The client and the server.
  private var ends: [End]

  init(_ input: [UInt8]) {
    rest = input[...]
    let contexts = Contexts.shared
    ends = [
      End(
        SecureStream(
          client: contexts.client, Randomness(SimEntropy(seed: 1, node: "client", boot: 1)), at: Contexts.time)),
      End(
        SecureStream(
          server: contexts.server, Randomness(SimEntropy(seed: 1, node: "server", boot: 1)), at: Contexts.time)),
    ]
  }

  mutating func run() {
    // Half of the inputs begin after the handshake.
    if (rest.popFirst() ?? 0) & 1 == 1 { shakeHandsUnchanged() }
    while let byte = rest.popFirst() {
      let step = Step(rawValue: (byte >> 1) % UInt8(Step.allCases.count))!
      take(step, side: Int(byte & 1))
    }
  }

  private mutating func shakeHandsUnchanged() {
    for _ in 0..<3 {
      for side in 0...1 {
        take(.deliverAll, side: side)
        take(.shakeHands, side: side)
      }
    }
    require(ends.allSatisfy { $0.stream.isEstablished }, "two ends do not shake hands")
  }

  private mutating func take(_ step: Step, side: Int) {
    switch step {
    case .shakeHands: attempt(side) { end throws(NetworkError) in _ = try end.stream.shakeHands() }
    case .deliver: deliver(Int(rest.popFirst() ?? 0) + 1, to: side)
    case .deliverAll: deliver(.max, to: side)
    case .change:
      let (place, bit) = (number(), rest.popFirst() ?? 0)
      if place < ends[side].arriving.count { ends[side].arriving[place] ^= 1 << (bit & 7) }
    case .drop: ends[side].arriving.removeFirst(min(number(), ends[side].arriving.count))
    case .insert:
      let count = Int(rest.popFirst() ?? 0)
      let bytes = rest.prefix(count)
      rest = rest.dropFirst(bytes.count)
      ends[side].arriving.insert(contentsOf: bytes, at: 0)
    case .again: if ends[side].arriving.count < Self.piece { ends[side].arriving += ends[side].arriving }
    case .write: write(number(), side)
    case .read: read(atMost: number() + 1, side)
    case .endWriting: ends[side].stream.endWriting()
    case .cutOff: ends[side].stream.receiveEnd()
    }
    ends[1 - side].arriving += ends[side].stream.takeOutput()
  }

  private mutating func number() -> Int {
    (Int(rest.popFirst() ?? 0) << 8 | Int(rest.popFirst() ?? 0)) % Self.piece
  }

  private mutating func deliver(_ count: Int, to side: Int) {
    let bytes = Array(ends[side].arriving.prefix(count))
    ends[side].arriving.removeFirst(bytes.count)
    if !bytes.isEmpty { ends[side].stream.receive(bytes) }
  }

  /// The byte at a place of what both ends write.
  private static func byte(at place: Int) -> UInt8 { UInt8(truncatingIfNeeded: place &* 31 ^ place >> 8) }

  private mutating func write(_ count: Int, _ side: Int) {
    let end = ends[side]
    guard end.stream.isEstablished, !end.stream.isWriteEnded else { return }
    let bytes = (end.written..<(end.written + count)).map(Self.byte)
    attempt(side) { end throws(NetworkError) in
      try end.stream.write(bytes[...])
      end.written += count
    }
  }

  private mutating func read(atMost limit: Int, _ side: Int) {
    let (written, isEnded) = (ends[1 - side].written, ends[1 - side].stream.isWriteEnded)
    attempt(side) { end throws(NetworkError) in
      switch try end.stream.read(atMost: limit) {
      case .needsInput: return
      case .end: require(isEnded && end.read == written, "a stream ends that was not ended")
      case .bytes(let bytes):
        require((1...limit).contains(bytes.count), "a read of \(bytes.count) bytes")
        require(end.read + bytes.count <= written, "bytes arrive that were not written")
        let isSame = bytes.enumerated().allSatisfy { $1 == Self.byte(at: end.read + $0) }
        require(isSame, "other bytes arrive than were written")
        end.read += bytes.count
      }
    }
  }

  /// Does something that may fail. An end that has failed once fails in the same way ever after.
  private mutating func attempt(_ side: Int, _ body: (inout End) throws(NetworkError) -> Void) {
    do throws(NetworkError) {
      try body(&ends[side])
      require(ends[side].failure == nil, "an end goes on after an error")
    } catch {
      require(ends[side].failure == nil || ends[side].failure == error, "an end fails in another way")
      ends[side].failure = error
    }
  }
}
