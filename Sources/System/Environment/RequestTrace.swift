/// The identity of a request, which goes with it through all services and queues.
///
/// It joins two ids: the request id of `X-Request-ID`, and the trace of W3C Trace Context, level 1.
/// Every line that is logged within a request contains both. A service that handles a part of the
/// request is one span of the trace.
public struct RequestTrace: Sendable, Hashable {
  /// The longest request id in bytes.
  public static let maximumRequestID = 128
  /// The longest `tracestate` in bytes that is passed on (Trace Context §3.3.1.5).
  public static let maximumState = 512

  /// 1 to 128 visible ASCII characters.
  public let requestID: String
  /// The 16 bytes of `trace-id`. Not zero.
  public let traceID: TraceID
  /// The 8 bytes of `parent-id` in what this service sends. Not zero.
  public let spanID: UInt64
  /// Whether the caller may have recorded the trace: the flag `sampled`.
  public let isSampled: Bool
  /// The caller's `tracestate`, unchanged.
  public let state: String?

  /// The id of a trace.
  public struct TraceID: Sendable, Hashable {
    /// The first and the last 8 bytes.
    public let high, low: UInt64

    /// Creates an id. Nil for zero, which stands for no trace.
    public init?(high: UInt64, low: UInt64) {
      guard high != 0 || low != 0 else { return nil }
      self.high = high
      self.low = low
    }

    /// 32 hexadecimal digits in lower case.
    public var text: String { RequestTrace.digits(high) + RequestTrace.digits(low) }
  }

  /// The 16 hexadecimal digits of a number, in lower case.
  package static func digits(_ number: UInt64) -> String {
    let digits = (0..<16).map { index in
      let digit = UInt8(truncatingIfNeeded: number >> UInt64(60 - 4 * index) & 15)
      return digit < 10 ? 0x30 + digit : 0x57 + digit
    }
    return String(decoding: digits, as: UTF8.self)
  }

  /// Creates a trace from its parts.
  public init(requestID: String, traceID: TraceID, spanID: UInt64, isSampled: Bool, state: String?) {
    self.requestID = requestID
    self.traceID = traceID
    self.spanID = spanID
    self.isSampled = isSampled
    self.state = state
  }

  /// Begins a trace. Without a request id, the trace's id is the request's, too.
  public init(requestID: String? = nil, from identifiers: any Entropy) {
    var id = TraceID(high: identifiers.word(), low: identifiers.word())
    while id == nil { id = TraceID(high: identifiers.word(), low: identifiers.word()) }
    self.init(
      requestID: requestID ?? id!.text, traceID: id!, spanID: Self.span(from: identifiers), isSampled: false,
      state: nil)
  }

  /// The same trace, with a span of its own.
  public func nextSpan(requestID: String? = nil, from identifiers: any Entropy) -> RequestTrace {
    RequestTrace(
      requestID: requestID ?? self.requestID, traceID: traceID, spanID: Self.span(from: identifiers),
      isSampled: isSampled, state: state)
  }

  private static func span(from identifiers: any Entropy) -> UInt64 {
    var id = identifiers.word()
    while id == 0 { id = identifiers.word() }
    return id
  }

  // MARK: The running request

  /// The place where a task notes which request it handles, one request after the other.
  ///
  /// A task-local value for each request would cost ten switches between functions. A task that
  /// handles many binds one scope instead, and sets its `trace` for each of them. The child tasks
  /// of a request see the same scope, and end before the next request. Unchecked, since only the
  /// task that has bound it writes it, while no child runs.
  public final class Scope: @unchecked Sendable {
    /// The running request; nil between two.
    public var trace: RequestTrace?

    /// Creates a scope.
    public init(_ trace: RequestTrace? = nil) { self.trace = trace }
  }

  /// The scope that the running task has bound.
  @TaskLocal public static var scope: Scope?

  /// The request that the running task handles.
  public static var current: RequestTrace? { scope?.trace }

  /// Runs `body`, which starts a task, as a part of no request. A task that a request starts may
  /// outlive it, and serve others.
  @inline(__always)
  public static func outside<R>(_ body: () -> R) -> R {
    scope == nil ? body() : $scope.withValue(nil, operation: body)
  }
}

extension Entropy {
  fileprivate func word() -> UInt64 {
    var word: UInt64 = 0
    withUnsafeMutableBytes(of: &word) { fill($0) }
    return word
  }
}
