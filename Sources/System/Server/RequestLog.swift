/// What the request log may say.
enum RequestLog {
  /// Parameters whose values are never written.
  static let secrets: Set<String> = [
    "password", "sessionid", "session_id", "session_token", "token", "access_token", "refresh_token", "secret",
  ]

  /// The query with the values of secret parameters blanked.
  static func blanked(_ query: String) -> String {
    query.split(separator: "&", omittingEmptySubsequences: false).map { part in
      let name = part.prefix { $0 != "=" }
      let decoded = PercentEncoding.decode(name.utf8, plusIsSpace: true) ?? ""
      return secrets.contains(decoded.lowercased()) ? "\(name)=***" : String(part)
    }.joined(separator: "&")
  }
}
