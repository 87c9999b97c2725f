import Testing

@testable import System

@Suite("Property lists")
struct PropertyListTests {
  @Test("property lists round trip")
  func roundTrip() throws {
    let value: JSONValue = [
      "TYPE": "ü€𝄞", "DATA": ["a": 1, "b": [true, false, .double(2.5), -7, "x"], "c": .object([])], "e": .null,
      "long": .string(String(repeating: "y", count: 300)), "many": .array((0..<400).map { .int($0) }),
    ]
    #expect(try PropertyList.parse(PropertyList.bytes(value)) == value)
  }

  /// Makes a list whose top object has these bytes, followed by objects to refer to.
  private func list(_ objects: [[UInt8]]) -> [UInt8] {
    var bytes = Array("bplist00".utf8)
    var offsets: [Int] = []
    for object in objects {
      offsets.append(bytes.count)
      bytes += object
    }
    let table = bytes.count
    for offset in offsets { bytes += [UInt8(offset >> 16 & 255), UInt8(offset >> 8 & 255), UInt8(offset & 255)] }
    bytes += [0, 0, 0, 0, 0, 0, 3, 1]
    for number in [objects.count, 0, table] { bytes += (0..<8).map { UInt8(number >> (56 - 8 * $0) & 255) } }
    return bytes
  }

  private func array(_ references: [UInt8]) -> [UInt8] {
    [0xAF, 0x12] + (0..<4).map { UInt8(references.count >> (24 - 8 * $0) & 255) } + references
  }

  @Test("each reference to an object is charged")
  func bombs() {
    let text: [UInt8] = [0x5F, 0x11, 0xC3, 0x50] + [UInt8](repeating: 0x41, count: 50_000)
    let wide: [UInt8] = [0x6F, 0x11, 0x61, 0xA8] + [UInt8](repeating: 0x41, count: 50_000)
    let data: [UInt8] = [0x4F, 0x11, 0xC3, 0x50] + [UInt8](repeating: 0x41, count: 50_000)
    for object in [text, wide, data] {
      let bytes = list([array([UInt8](repeating: 1, count: 20_000)), object])
      #expect(throws: PropertyList.Failure.self) { try PropertyList.parse(bytes) }
    }
    // Ten arrays, each with ten references to the next, expand to a thousand million empty arrays.
    let tree = (1...9).map { array([UInt8](repeating: UInt8($0), count: 10)) } + [array([])]
    #expect(throws: PropertyList.Failure.self) { try PropertyList.parse(list(tree)) }
    #expect(throws: PropertyList.Failure.self) { try PropertyList.parse(list([array([0, 0])])) }
  }

  @Test("lists with many references to small objects are accepted", arguments: [1, 100, 10_000])
  func shared(count: Int) throws {
    let bytes = list([array([UInt8](repeating: 1, count: count)), [0x10, 0x07]])
    #expect(try PropertyList.parse(bytes) == .array((0..<count).map { _ in 7 }))
  }

  @Test("the depth is bounded like that of JSON")
  func depth() throws {
    func nested(_ depth: Int) -> [UInt8] {
      list((1..<depth).map { array([UInt8($0)]) } + [array([])])
    }
    #expect(throws: Never.self) { try PropertyList.parse(nested(64)) }
    #expect(throws: PropertyList.Failure.self) { try PropertyList.parse(nested(65)) }
    #expect(throws: Never.self) { try PropertyList.parse(nested(72), depth: 72) }
  }

  @Test("duplicate keys and numbers that are not finite are refused")
  func notJSON() {
    let twice = list([[0xD2, 1, 1, 2, 2], [0x51, 0x61], [0x08]])
    #expect(throws: PropertyList.Failure.self) { try PropertyList.parse(twice) }
    for value in [Double.nan, .infinity, -.infinity] {
      #expect(throws: PropertyList.Failure.self) { try PropertyList.parse(PropertyList.bytes(["a": .double(value)])) }
    }
  }

  @Test("invalid lists are refused, and 100,000 mutations do not crash")
  func mutations() {
    #expect(throws: PropertyList.Failure.self) { try PropertyList.parse([]) }
    #expect(throws: PropertyList.Failure.self) { try PropertyList.parse(Array("bplist00".utf8)) }
    let bytes = PropertyList.bytes(["a": [1, "b", ["c": .double(2.5)]], "d": "ü"])
    var state: UInt64 = 9
    func next() -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return state >> 33
    }
    for _ in 0..<100_000 {
      var mutated = bytes
      for _ in 0..<2 { mutated[Int(next() % UInt64(bytes.count))] = UInt8(next() & 255) }
      _ = try? PropertyList.parse(mutated)
    }
  }
}
