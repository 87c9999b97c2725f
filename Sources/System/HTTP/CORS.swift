/// Which pages in a browser may call a service (Fetch standard, "CORS protocol").
public struct CORSPolicy: Sendable, Equatable {
  /// The origins that may; nil for all, without credentials.
  public let origins: [String]?

  /// A policy for these origins, or for all.
  public init(origins: [String]? = nil) { self.origins = origins }

  /// The fields for a response to a request from `origin`.
  func fields(for origin: String) -> [(name: String, value: String)] {
    guard let origins else { return [("access-control-allow-origin", "*"), Self.exposed] }
    guard origins.contains(origin) else { return [("vary", "Origin")] }
    return [("access-control-allow-origin", origin), ("vary", "Origin"), Self.exposed]
  }

  /// The fields for a preflight that asks for `headers`.
  func preflightFields(for origin: String, allow: String, headers: String?) -> [(name: String, value: String)] {
    var fields = fields(for: origin)
    guard origins == nil || fields.count > 1 else { return fields }
    fields.append(("access-control-allow-methods", allow))
    if let headers { fields.append(("access-control-allow-headers", headers)) }
    fields.append(("access-control-max-age", "600"))
    return fields
  }

  private static let exposed = (name: "access-control-expose-headers", value: "X-Request-ID, Retry-After")
}
