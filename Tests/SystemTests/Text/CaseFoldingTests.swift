@testable import Environment
import Foundation
import Testing

@testable import System

@Suite("Case folding")
struct CaseFoldingTests {
  @Test("equals Python's str.casefold for every scalar of Unicode 14")
  func all() throws {
    let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Fixtures/case-folding.txt")
    var expected: [UInt32: String] = [:]
    for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") where !line.hasPrefix("#") {
      let numbers = try line.split(separator: " ").map { try #require(UInt32($0, radix: 16)) }
      expected[numbers[0]] = String(String.UnicodeScalarView(numbers.dropFirst().compactMap(Unicode.Scalar.init)))
    }
    #expect(expected.count > 1500)
    var wrong: [String] = []
    for value in UInt32(0)...0x10FFFF {
      guard let scalar = Unicode.Scalar(value), let age = scalar.properties.age, age.major <= 14 else { continue }
      let folded = (expected[value] ?? String(scalar)).normalized
      if !String(scalar).caseFolded.hasSameBytes(as: folded) { wrong.append(String(value, radix: 16)) }
    }
    #expect(wrong.isEmpty, "\(wrong)")
  }
}

@Suite("Text compared by its bytes")
struct ExactTextTests {
  @Test("canonically equivalent strings with different bytes differ")
  func bytes() {
    #expect("é" == "e\u{301}")
    #expect(!"é".hasSameBytes(as: "e\u{301}"))
    #expect("é".hasSameBytes(as: "é"))
    #expect("".hasSameBytes(as: ""))
    #expect(ExactText("é") != ExactText("e\u{301}"))
    #expect(Set([ExactText("a"), ExactText("a"), ExactText("b")]).count == 2)
  }
}
