import Environment

/// What the request log may say of a target: everything but the values of secrets.
enum RequestLog {
  /// Whether a parameter called `name` may hold a secret: `sid`, or a password, a token, a key, a session's id, whatever
  /// comes before that in its name.
  static func isSecret(_ name: some StringProtocol) -> Bool {
    let letters = name.lowercased().filter { $0.isASCII && $0.isLetter }
    return endings.contains { letters.hasSuffix($0) } || names.contains(letters)
  }

  private static let endings = ["password", "passwd", "secret", "token", "sessionid", "apikey", "jwt", "authorization"]
  private static let names = ["sid", "pid", "auth", "key", "signature", "code"]

  /// A query without the values of secrets. Of one that is longer than a line may be, the rest is not looked at.
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

  /// A path that no route has, without the values of secrets: `/a/token=b`, `/token/b`. What a route has is a constant.
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
      // Nobody can tell what it says.
      return "***"
    }
    // A whole target may stand in a value, or, encoded, in the name.
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
