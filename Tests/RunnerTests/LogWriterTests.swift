@testable import Environment
@testable import Simulation
import Foundation
import Glibc
import System
import Testing

@testable import Real
@testable import Runner

/// The log is bounded, and no writer waits for its reader.
@Suite("The log writer")
struct LogWriterTests {
  /// A pipe, with a reader that may stop reading.
  private struct Pipe {
    let reader: Int32
    let writer: Int32

    init() {
      var ends: [Int32] = [0, 0]
      pipe(&ends)
      (reader, writer) = (ends[0], ends[1])
    }

    /// Reads lines until one contains `text`.
    func lines(until text: String) -> [String] {
      var bytes: [UInt8] = []
      var buffer = [UInt8](repeating: 0, count: 65_536)
      while !String(decoding: bytes, as: UTF8.self).contains(text) {
        let count = read(reader, &buffer, buffer.count)
        if count <= 0 { break }
        bytes += buffer[..<count]
      }
      return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
    }
  }

  private func log(_ writer: LogWriter, _ event: String) {
    Log(node: "n", threshold: .info) { writer.write($0) }.info(
      event, ["more": .string(String(repeating: "x", count: 200))])
  }

  @Test("unread lines are dropped and counted, and the others stay in order")
  func drops() throws {
    let pipe = Pipe()
    let writer = LogWriter(.text, descriptor: pipe.writer, capacity: 8192)
    for index in 0..<2000 { log(writer, "line-\(index)-") }
    writer.finish()
    let before = pipe.lines(until: "log-dropped")
    let kept = before.filter { $0.contains(" line-") }
    let notice = try #require(before.last { $0.contains("log-dropped") })
    let count = try #require(Int(notice.split(separator: "lines=").last ?? ""))
    #expect(count > 0 && kept.count < 2000)
    let numbers = kept.compactMap { Int($0.split(separator: "-")[3]) }
    #expect(numbers == numbers.sorted() && numbers.first == 0)
    log(writer, "after")
    #expect(pipe.lines(until: "after").last?.contains(" after") == true)
  }

  @Test("an error of the descriptor does not block, and lost lines are reported when it works again")
  func recovers() throws {
    let pipe = Pipe()
    let full = open("/dev/full", O_WRONLY)
    let descriptor = dup(full)
    let writer = LogWriter(.json, descriptor: descriptor)
    for index in 0..<3 { log(writer, "lost-\(index)") }
    writer.finish()
    dup2(pipe.writer, descriptor)
    log(writer, "written")
    let lines = pipe.lines(until: "log-dropped")
    #expect(lines.contains { $0.contains("\"event\":\"written\"") })
    #expect(lines.contains { $0.contains("\"event\":\"log-dropped\",\"lines\":3") })
    #expect(!lines.contains { $0.contains("lost") })
  }
}
