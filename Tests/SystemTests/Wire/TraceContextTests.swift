import Testing

@testable import Environment
@testable import Simulation
@testable import System

/// `traceparent`, `tracestate` and `X-Request-ID` (W3C Trace Context, level 1).
@Suite("Trace context")
struct TraceContextTests {
  static let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
  static let parent = "00-\(trace)-00f067aa0ba902b7-01"

  static let laterVersions = [
    ("cc-\(trace)-00f067aa0ba902b7-01", "01"), ("cc-\(trace)-00f067aa0ba902b7-01-more", "01"),
    ("00-\(trace)-00f067aa0ba902b7-ff", "01"), ("00-\(trace)-00f067aa0ba902b7-fe", "00"),
  ]
  static let invalidParents: [[String]] = [
    [], [""], ["00"], [parent, parent], ["\(parent)-"], ["\(parent)0"], [" \(parent)"], [parent.uppercased()],
    ["ff-\(trace)-00f067aa0ba902b7-01"], ["cc-\(trace)-00f067aa0ba902b7-01more"],
    ["00-00000000000000000000000000000000-00f067aa0ba902b7-01"], ["00-\(trace)-0000000000000000-01"],
    ["00-\(trace)-00f067aa0ba902b7-0g"], ["00_\(trace)-00f067aa0ba902b7-01"],
    ["00-\(trace)-00f067aa0ba902b7-é"], [String(repeating: "0", count: 300)],
  ]

  private static let identifiers = SimEntropy(seed: 1, node: "a", boot: 1)

  private static func read(_ parents: [String], _ states: [String] = [], _ id: String? = "id") -> RequestTrace {
    TraceContext(parents: parents, states: states, requestID: id).trace(from: identifiers, requestID: "made")
  }

  @Test("a valid traceparent goes on with a span of the service's own")
  func goesOn() {
    let trace = Self.read([Self.parent])
    #expect(trace.traceID.text == Self.trace)
    #expect(trace.isSampled)
    #expect(trace.spanID != 0x00f0_67aa_0ba9_02b7)
    let again = TraceContext(parents: [trace.parent], states: [], requestID: "id").sent
    #expect(again == trace)
    #expect(trace.parent.hasPrefix("00-\(Self.trace)-") && trace.parent.hasSuffix("-01"))
  }

  @Test(
    "later versions are read by the fields of version 00, and other flags are not passed on",
    arguments: laterVersions)
  func versions(_ text: String, flags: String) {
    let trace = Self.read([text])
    #expect(trace.traceID.text == Self.trace)
    #expect(trace.parent.hasPrefix("00-") && trace.parent.hasSuffix("-\(flags)"))
  }

  @Test(
    "an invalid traceparent begins a new trace, without the caller's tracestate",
    arguments: invalidParents)
  func invalid(_ parents: [String]) {
    let trace = Self.read(parents, ["a=1"])
    #expect(trace.traceID.text != Self.trace)
    #expect(trace.state == nil && !trace.isSampled)
    #expect(trace.requestID == "id")
    #expect(TraceContext(parents: parents, states: [], requestID: "id").sent == nil)
  }

  @Test("tracestate is passed on unchanged, several fields as one list")
  func state() {
    #expect(Self.read([Self.parent], ["a=1", "b=2"]).state == "a=1,b=2")
    #expect(Self.read([Self.parent], ["a@b=1 2 , ,c="]).state == "a@b=1 2 , ,c=")
    let longest = "a=" + String(repeating: "b", count: 510)
    #expect(Self.read([Self.parent], [longest]).state == longest)
  }

  @Test(
    "a tracestate that breaks a rule is dropped, and the trace goes on",
    arguments: [
      "", ",", "a", "a=1,b", "a=\u{7F}", "a=é", "a=\u{0}", "a=" + String(repeating: "b", count: 511),
      (0..<33).map { "a\($0)=1" }.joined(separator: ","),
    ])
  func badState(_ state: String) {
    let trace = Self.read([Self.parent], [state])
    #expect(trace.state == nil)
    #expect(trace.traceID.text == Self.trace)
  }

  @Test("a request id has 1 to 128 visible ASCII characters; any other one is replaced")
  func requestIDs() {
    for id in ["a", "!~", String(repeating: "x", count: 128)] { #expect(Self.read([], [], id).requestID == id) }
    for id in ["", " ", "a b", "\u{7F}", "é", String(repeating: "x", count: 129)] {
      #expect(Self.read([], [], id).requestID == "made")
    }
    #expect(Self.read([], [], nil).requestID == "made")
    let trace = RequestTrace(from: Self.identifiers)
    #expect(trace.requestID == trace.traceID.text)
  }
}
