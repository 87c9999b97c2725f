import COpenSSL

/// A certificate, key or setting that cannot be used. The description says what to mend.
public struct TLSError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What is wrong, in words.
  public let description: String

  init(_ description: String) { self.description = description }

  /// The error with which OpenSSL's last call on this thread failed. Empties its queue of errors.
  static func last(_ what: String) -> TLSError {
    guard let reason = takeReason() else { return TLSError(what) }
    return TLSError("\(what): \(reason)")
  }

  /// OpenSSL's words for the first error in the queue of this thread, or nil. Empties the queue.
  static func takeReason() -> String? {
    defer { ERR_clear_error() }
    let code = ERR_peek_error()
    guard code != 0 else { return nil }
    if ERR_GET_REASON(code) == SSL_R_HTTP_REQUEST { return "the client speaks HTTP without TLS" }
    return ERR_reason_error_string(code).map { String(cString: $0) } ?? "OpenSSL error \(code)"
  }
}
