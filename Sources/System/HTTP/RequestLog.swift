import Environment

/// Removes secrets from request targets before they are logged.
enum RequestLog {
  /// Whether a parameter called `name` may hold a secret: `sid`, or a name that ends with
  /// `password`, `token`, `sessionID` and the like.
  static func isSecret(_ name: some StringProtocol) -> Bool {
    let letters = name.lowercased().filter { $0.isASCII && $0.isLetter }
    return endings.contains { letters.hasSuffix($0) } || names.contains(letters)
  }

  private static let endings = ["password", "passwd", "secret", "token", "sessionid", "apikey", "jwt", "authorization"]
  private static let names = ["sid", "pid", "auth", "key", "signature", "code"]

  /// A query with the values of secrets replaced. The part beyond the limit of a log line is cut
  /// off.
  static func blanked(query: String) -> String {
    if query.utf8.count > Log.Value.maximumBytes {
      return blanked(query: String(decoding: query.utf8.prefix(Log.Value.maximumBytes), as: UTF8.self)) + "…"
    }
    var result = ""
    var rest = query[...]
    while true {
      let part = rest.prefix { !isSeparator($0) }
      result += blanked(parameter: part)
      rest = rest[part.endIndex...]
      guard let separator = rest.popFirst() else { return result }
      result.append(separator)
    }
  }

  /// A path that matches no route, with the values of secrets replaced: `/a/token=b`, `/token/b`.
  /// The path of a route is a constant and needs no change.
  static func blanked(path: String) -> String {
    if path.utf8.count > Log.Value.maximumBytes {
      return blanked(path: String(decoding: path.utf8.prefix(Log.Value.maximumBytes), as: UTF8.self)) + "…"
    }
    var followsName = false
    return path.split(separator: "/", omittingEmptySubsequences: false).map { segment in
      defer { followsName = isSecret(decoded(segment) ?? "") }
      return followsName && !segment.isEmpty ? "***" : blanked(query: String(segment))
    }.joined(separator: "/")
  }

  private static func isSeparator(_ character: Character) -> Bool { character == "&" || character == ";" }

  private static func blanked(parameter: Substring) -> String {
    let name = parameter.prefix { $0 != "=" }
    let value = parameter[name.endIndex...].dropFirst()
    guard let decodedName = decoded(name), let decodedValue = decoded(value) else {
      // It cannot be decoded, so it may hold a secret.
      return "***"
    }
    // A value, or an encoded name, may contain a whole target.
    let isNested = [decodedName, decodedValue].contains { text in
      text.split { isSeparator($0) || $0 == "?" || $0 == "/" }.contains { part in
        part.contains("=") && isSecret(part.prefix { $0 != "=" })
      }
    }
    if isNested, !decodedName.isEmpty, decodedName.contains("=") { return "***" }
    return !value.isEmpty && (isNested || isSecret(decodedName)) ? "\(name)=***" : String(parameter)
  }

  private static func decoded(_ text: Substring) -> String? {
    PercentEncoding.decode(text.utf8, plusIsSpace: true)
  }
}
