import Environment

/// The fields that carry a `RequestTrace`: `traceparent` and `tracestate` of W3C Trace Context,
/// level 1 (Recommendation of 2021-11-23), and `X-Request-ID`. HTTP has them as header fields, AMQP
/// as headers of a message.
///
/// Values that break a rule are treated as absent, as §3.2.2 and §4.3 of the recommendation say.
struct TraceContext {
  static let parent = "traceparent"
  static let state = "tracestate"
  static let requestID = "X-Request-ID"

  /// Members of `tracestate` (§3.3.1.1).
  private static let maximumMembers = 32
  /// The length of version 00: `00-` 32 digits `-` 16 digits `-` 2 digits.
  private static let length = 55

  private let received: RequestTrace?
  private let id: String?

  /// Reads the values of all fields with these names. Several values of `tracestate` are one list.
  init(parents: [String], states: [String], requestID: String?) {
    id = requestID.flatMap { Self.isRequestID($0) ? $0 : nil }
    received =
      parents.count == 1
      ? Self.parse(parents[0], state: states.isEmpty ? nil : states.joined(separator: ","), requestID: id ?? "") : nil
  }

  /// The trace of a service that handles the message: the next span of the sender's trace, or the
  /// first one of a new trace.
  /// - Parameter otherwise: Makes a request id for a message without one. Nil uses the trace's.
  func trace(from identifiers: any Entropy, requestID otherwise: @autoclosure () -> String? = nil) -> RequestTrace {
    let id = id ?? otherwise()
    guard let received else { return RequestTrace(requestID: id, from: identifiers) }
    return received.nextSpan(requestID: id ?? received.traceID.text, from: identifiers)
  }

  /// The trace as it was sent; nil without a valid `traceparent` and request id.
  var sent: RequestTrace? { id == nil ? nil : received }

  /// Whether a request id has 1 to 128 visible ASCII characters.
  static func isRequestID(_ text: String) -> Bool {
    (1...RequestTrace.maximumRequestID).contains(text.utf8.count) && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
  }

  /// Parses `traceparent` (§3.2). A later version may have more after the fields of version 00.
  private static func parse(_ text: String, state: String?, requestID: String) -> RequestTrace? {
    let bytes = Array(text.utf8)
    guard bytes.count >= length, let version = number(bytes[0..<2]), version != 0xFF,
      bytes.count == length || version != 0 && bytes[length] == UInt8(ascii: "-"),
      [2, 35, 52].allSatisfy({ bytes[$0] == UInt8(ascii: "-") }),
      let high = number(bytes[3..<19]), let low = number(bytes[19..<35]),
      let traceID = RequestTrace.TraceID(high: high, low: low),
      let parentID = number(bytes[36..<52]), parentID != 0, let flags = number(bytes[53..<55])
    else { return nil }
    return RequestTrace(
      requestID: requestID, traceID: traceID, spanID: parentID, isSampled: flags & 1 == 1,
      state: state.flatMap { isState($0) ? $0 : nil })
  }

  /// Hexadecimal digits in lower case, at most 16.
  private static func number(_ digits: ArraySlice<UInt8>) -> UInt64? {
    var number: UInt64 = 0
    for digit in digits {
      switch digit {
      case 0x30...0x39: number = number << 4 | UInt64(digit - 0x30)
      case 0x61...0x66: number = number << 4 | UInt64(digit - 0x57)
      default: return nil
      }
    }
    return number
  }

  /// Whether a `tracestate` can be passed on: a list of at most 32 members in printable ASCII, and
  /// not longer than the length that has to be passed on. An empty list is not.
  private static func isState(_ text: String) -> Bool {
    guard text.utf8.count <= RequestTrace.maximumState,
      text.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F || $0 == 0x09 })
    else { return false }
    let members = text.utf8.split(separator: UInt8(ascii: ",")).filter { $0.contains { $0 != 0x20 && $0 != 0x09 } }
    return (1...maximumMembers).contains(members.count)
      && members.allSatisfy { ($0.split(separator: UInt8(ascii: "="), omittingEmptySubsequences: false)).count > 1 }
  }
}

extension RequestTrace {
  /// The fields that carry the trace to another service.
  var fields: [(name: String, value: String)] {
    var fields = [(TraceContext.requestID, requestID), (TraceContext.parent, parent)]
    if let state { fields.append((TraceContext.state, state)) }
    return fields
  }

  /// The value of `traceparent`, of version 00.
  var parent: String {
    "00-\(traceID.text)-\(Self.digits(spanID))-0\(isSampled ? 1 : 0)"
  }
}
