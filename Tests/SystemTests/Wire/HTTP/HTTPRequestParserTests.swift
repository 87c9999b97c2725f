@testable import Environment
import Testing

@testable import System

@Suite("HTTP requests")
struct HTTPRequestParserTests {
  private func parse(_ text: String, limits: HTTPLimits = HTTPLimits()) throws(HTTPError) -> [HTTPRequest] {
    var parser = HTTPRequestParser(limits: limits)
    parser.receive(Array(text.utf8))
    return try drain(&parser)
  }

  private func drain(_ parser: inout HTTPRequestParser) throws(HTTPError) -> [HTTPRequest] {
    var requests: [HTTPRequest] = []
    while let event = try parser.next() {
      if case .request(let request) = event { requests.append(request) }
    }
    return requests
  }

  @Test("a request parses the same in one piece and byte by byte")
  func bytewise() throws {
    let text =
      "POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nX-A:  v \r\n\r\nabcGET /d HTTP/1.1\r\nHost: x\r\n\r\n"
    var parser = HTTPRequestParser()
    var requests: [HTTPRequest] = []
    for byte in text.utf8 {
      parser.receive([byte])
      requests += try drain(&parser)
    }
    for requests in [requests, try parse(text)] {
      #expect(requests.map(\.method) == ["POST", "GET"])
      #expect(requests[0].path == "/a")
      #expect(requests[0].query == "b=c")
      #expect(requests[0].body == Array("abc".utf8))
      #expect(requests[0].fields["x-a"] == "v")
      #expect(requests[1].path == "/d")
    }
  }

  @Test("a bare CR or LF in a head is refused, however the bytes are split")
  func bareLineEnds() {
    let head = Array("GET /a HTTP/1.1\r\nHost: x\r\nX-Longer-Name: some value\r\nX-Tab: a\tb\r\n\r\n".utf8)
    for place in 0..<head.count {
      for byte in [13, 10] as [UInt8] {
        let bad = head[..<place] + [byte] + head[place...]
        for cut in 0...bad.count {
          #expect(throws: HTTPError.self, "byte \(byte) at \(place), cut at \(cut)") {
            var parser = HTTPRequestParser()
            parser.receive(Array(bad.prefix(cut)))
            _ = try drain(&parser)
            parser.receive(Array(bad.dropFirst(cut)))
            _ = try drain(&parser)
          }
        }
      }
    }
  }

  @Test("chunks, extensions and trailers")
  func chunked() throws {
    let text =
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n3;a=b\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nX: y\r\n\r\n"
    #expect(try parse(text)[0].body == Array("abc0123456789abcdef".utf8))
  }

  @Test(
    "ambiguous framing is refused",
    arguments: [
      "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
      "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\na",
      "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\na",
      "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x1\r\n\r\na",
      "GET / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
      "GET / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\n A: b\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n",
      "GET / HTTP/1.1\nHost: x\n\n", "GET / HTTP/1.1\r\nHost: x\n\r\n",
      "GET / HTTP/1.1\r\nHost: x\r\nA: b\u{0}\r\n\r\n", "GET / HTTP/1.1\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\nHost: x y\r\n\r\n",
      "GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
      "GET / HTTP/1.1 \r\nHost: x\r\n\r\n", "GET /\r\nHost: x\r\n\r\n", "GET x HTTP/1.1\r\nHost: x\r\n\r\n",
      "G@T / HTTP/1.1\r\nHost: x\r\n\r\n",
      " GET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: x\r\nab\r\n\r\n",
      "GET / http/1.1\r\nHost: x\r\n\r\n", "GET /\u{7F} HTTP/1.1\r\nHost: x\r\n\r\n",
    ])
  func ambiguous(text: String) {
    let error = #expect(throws: HTTPError.self) { try parse(text) }
    #expect(error?.status == 400)
  }

  @Test(
    "broken chunks are refused",
    arguments: [
      "g\r\n", "-1\r\n", " 3\r\nabc\r\n", "3 \r\nabc\r\n", "3\nabc\r\n", "3\r\nabcd\r\n0\r\n\r\n",
      "3\r\nabc\n0\r\n\r\n", "100000000\r\n", "\r\n",
      "3;a\u{1}\r\nabc\r\n", "3;\rx\r\nabc\r\n", "0\r\nno colon\r\n\r\n", "0\r\n folded\r\n\r\n",
      "3;\(String(repeating: "a", count: 300))\r\n",
      String(repeating: "1;\(String(repeating: "e", count: 200))\r\nx\r\n", count: 30),
    ])
  func brokenChunks(body: String) {
    let error = #expect(throws: HTTPError.self) {
      try parse("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
    }
    #expect(error?.status == 400)
  }

  @Test("each limit has its own status")
  func limits() {
    let long = String(repeating: "a", count: 40_000)
    let cases: [(String, Int)] = [
      ("GET /\(long) HTTP/1.1\r\n", 414), ("GET / HTTP/1.1\r\nHost: x\r\nA: \(long)", 431),
      ("GET / HTTP/1.1\r\nHost: x\r\n" + String(repeating: "a: b\r\n", count: 200) + "\r\n", 431),
      ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n", 413),
      ("GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n100001\r\n", 413),
      ("GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
      ("GET / HTTP/1.1\r\nHost: x\r\nExpect: a-pony\r\n\r\n", 417),
    ]
    for (text, status) in cases {
      let error = #expect(throws: HTTPError.self) { try parse(text) }
      #expect(error?.status == status)
    }
  }

  @Test("Expect: 100-continue is reported once, and only before the body")
  func expect() throws {
    var parser = HTTPRequestParser()
    parser.receive(Array("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n".utf8))
    guard case .expectsContinue? = try parser.next() else {
      Issue.record("no expectsContinue")
      return
    }
    #expect(try parser.next() == nil as HTTPRequestParser.Event?)
    parser.receive(Array("ab".utf8))
    #expect(try drain(&parser).count == 1)
  }

  @Test(
    "keep-alive by version and Connection",
    arguments: [
      ("1.1", "", true), ("1.1", "Connection: close\r\n", false), ("1.1", "Connection: x, Close\r\n", false),
      ("1.0", "", false),
      ("1.0", "Connection: keep-alive\r\n", true),
    ])
  func keepAlive(version: String, field: String, keeps: Bool) throws {
    #expect(try parse("GET / HTTP/\(version)\r\nHost: x\r\n\(field)\r\n")[0].keepsAlive == keeps)
  }

  @Test(
    "targets in the forms of RFC 9112 §3.2",
    arguments: [
      ("GET", "/a%20b?x", "/a%20b"), ("GET", "http://h:1/a", "/a"), ("GET", "http://h", "/"),
      ("GET", "http://h?q", "/"), ("OPTIONS", "*", "*"),
    ])
  func targets(method: String, target: String, path: String) throws {
    #expect(try parse("\(method) \(target) HTTP/1.1\r\nHost: x\r\n\r\n")[0].path == path)
  }

  /// A fixed generator, so that the number of a round reproduces its failure.
  @Test("10,000 mutated requests: no trap, no hang, bounded memory")
  func mutations() {
    let seeds = [
      "POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{\"user\":\"abc\"}",
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\n",
      "GET /a?b HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\nGET /c HTTP/1.1\r\nHost: y\r\nConnection: close\r\n\r\n",
    ].map { Array($0.utf8) }
    let spice: [[UInt8]] = [
      "\r\n", "\n", "\r", ":", " ", "\u{0}", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", "0\r\n\r\n",
      "%", ";",
    ].map {
      Array($0.utf8)
    }
    var random: UInt64 = 42
    func below(_ bound: Int) -> Int {
      random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(random >> 33) % bound
    }
    var outcomes = (requests: 0, errors: 0, waiting: 0)
    for _ in 0..<10_000 {
      var bytes = seeds[below(seeds.count)]
      for _ in 0...below(2) {
        let place = below(bytes.count)
        switch below(4) {
        case 0: bytes[place] = UInt8(below(256))
        case 1: bytes.remove(at: place)
        case 2: bytes.insert(contentsOf: spice[below(spice.count)], at: place)
        default: bytes.insert(contentsOf: bytes[place..<min(bytes.count, place + below(20))], at: below(bytes.count))
        }
        if bytes.isEmpty { bytes = [0] }
      }
      var parser = HTTPRequestParser()
      var rest = bytes[...]
      var events = 0
      do throws(HTTPError) {
        while !rest.isEmpty {
          let piece = rest.prefix(1 + below(bytes.count))
          rest = rest.dropFirst(piece.count)
          parser.receive(Array(piece))
          while try parser.next() != nil { events += 1 }
        }
        if events > 0 { outcomes.requests += 1 } else { outcomes.waiting += 1 }
      } catch {
        outcomes.errors += 1
      }
      #expect(events < 20)
    }
    // The mutations reach all three outcomes, or the test shows nothing.
    #expect(outcomes.requests > 500 && outcomes.errors > 2000 && outcomes.waiting > 20, "\(outcomes)")
  }
}

extension HTTPRequestParser.Event: Equatable {
  /// Whether both results are equal.
  public static func == (a: Self, b: Self) -> Bool {
    switch (a, b) {
    case (.expectsContinue, .expectsContinue): true
    default: false
    }
  }
}

@Suite("HTTP responses")
struct HTTPResponseParserTests {
  @Test("bodies by length, in chunks, up to the end of the stream, and after HEAD")
  func framings() throws {
    var parser = HTTPResponseParser()
    parser.receive(
      Array(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabHTTP/1.1 204 No Content\r\n\r\n"
          .utf8))
    #expect(try parser.next()?.body == Array("ab".utf8))
    #expect(try parser.next()?.status == 204)
    parser.receive(Array("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n".utf8))
    #expect(try parser.next()?.body == [UInt8(ascii: "x")])
    parser.answersHead = true
    parser.receive(Array("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n".utf8))
    #expect(try parser.next()?.body == [])
    parser.answersHead = false
    parser.receive(Array("HTTP/1.1 200 OK\r\n\r\nto the".utf8))
    #expect(try parser.next() == nil as HTTPResponse?)
    parser.receive(Array(" end".utf8))
    #expect(try parser.next() == nil as HTTPResponse?)
    #expect(try parser.end()?.body == Array("to the end".utf8))
    #expect(!parser.keepsAlive)
  }

  @Test("an incomplete response is an error")
  func cutOff() throws {
    var parser = HTTPResponseParser()
    parser.receive(Array("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab".utf8))
    #expect(try parser.next() == nil as HTTPResponse?)
    #expect(throws: HTTPError.cutOff) { try parser.end() }
  }
}

extension HTTPResponse: Equatable {
  /// Whether both results are equal.
  public static func == (a: Self, b: Self) -> Bool { a.status == b.status && a.body == b.body }
}
