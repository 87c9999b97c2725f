import Glibc

/// An output file of a command; `-` is standard output. A failed write is an error, since a
/// truncated file looks complete.
final class OutputFile {
  private let path: String
  /// Nil for standard output.
  private let file: UnsafeMutablePointer<FILE>?
  private var failure: Int32 = 0

  init(_ path: String) throws(UsageError) {
    self.path = path
    guard path != "-" else {
      file = nil
      return
    }
    file = fopen(path, "w")
    guard file != nil else { throw UsageError("\(path): \(String(cString: strerror(errno)))") }
  }

  /// Writes text. Errors are reported by `close`.
  func write(_ text: String) {
    guard let file else { return print(text, terminator: "") }
    if fputs(text, file) < 0, failure == 0 { failure = errno }
  }

  /// Closes the file. Throws if any write failed. Errors of standard output are reported when the
  /// command ends.
  func close() throws(UsageError) {
    guard let file else { return }
    if ferror(file) != 0, failure == 0 { failure = EIO }
    if fclose(file) != 0, failure == 0 { failure = errno }
    guard failure == 0 else { throw UsageError("\(path): \(String(cString: strerror(failure)))") }
  }

  /// Writes a file in one call.
  static func write(_ text: String, to path: String) throws(UsageError) {
    let file = try OutputFile(path)
    file.write(text)
    try file.close()
  }
}
