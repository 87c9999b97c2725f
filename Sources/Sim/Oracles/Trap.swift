/// The last words of a process that died, from its standard error.
enum Trap {
  private static let mostLines = 40

  /// The error and the frames of the backtrace, without source lines, registers and loaded images.
  static func report(_ lines: [String]) -> [String] {
    let trimmed = lines.map { String($0.drop { $0 == " " }) }
    let report = trimmed.filter { line in
      line.contains("Fatal error") || line.contains("rogram crashed") || isFrame(line)
    }
    // Without a known form of backtrace, all lines are kept.
    return (report.isEmpty ? trimmed : report).prefix(mostLines).map(withoutAddress)
  }

  /// Removes the address of a frame: it differs from run to run.
  private static func withoutAddress(_ line: String) -> String {
    guard isFrame(line), let address = line.firstRange(of: "0x") else { return line }
    let rest = line[address.upperBound...].drop { $0.isHexDigit }
    return line[..<address.lowerBound].split(separator: " ").joined(separator: " ") + rest
  }

  /// Whether a line is a frame: `12 [ra] [inlined] 0x0000aaaa some.function in parley at
  /// /path/File.swift:120:7`
  private static func isFrame(_ line: String) -> Bool {
    let number = line.prefix { $0.isNumber }
    return !number.isEmpty && line.dropFirst(number.count).first == " " && line.contains(" in ")
  }
}
