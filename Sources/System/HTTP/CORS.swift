/// The web pages that may call a service (Fetch standard, "CORS protocol").
public struct CORSPolicy: Sendable, Equatable {
  /// The allowed origins, or nil for all of them. Credentials are never allowed.
  public let origins: [String]?

  /// Makes a policy that allows `origins`, or all origins.
  public init(origins: [String]? = nil) { self.origins = origins }

  /// The header fields of a response to a request from `origin`.
  func fields(for origin: String) -> [(name: String, value: String)] {
    guard let origins else { return [("access-control-allow-origin", "*"), Self.exposed] }
    guard origins.contains(origin) else { return [("vary", "Origin")] }
    return [("access-control-allow-origin", origin), ("vary", "Origin"), Self.exposed]
  }

  /// The header fields of the response to a preflight that asks for `headers`.
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
