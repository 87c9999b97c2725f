import Foundation
import Testing

/// A folder of `Sources`, its rooms (folders) from the bottom layer to the top, and the rooms that
/// must not use each other.
struct House: Sendable {
  let folder: String
  let rooms: [String]
  var strangers: Set<String> = []
}

/// Derives the dependencies between folders from the declarations, and compares them with the order
/// of the rooms. The compiler checks dependencies between targets; these tests check those within a
/// target.
@Suite("Walls")
struct WallTests {
  static let houses: [House] = [
    House(
      folder: "System",
      rooms: [
        "RuntimeHooks", "Environment", "PlantedBugs", "Wire/Bytes", "Text", "Wire/JSON", "Wire/Cryptography",
        "Wire/HTTP", "Wire/WebSocket",
        "Wire/SocketIO", "Wire/AMQP", "Wire/PostgreSQL", "Wire/JWT", "Wire", "TLS", "Database", "HTTP", "Sockets",
        "Broker/Client", "Broker/Queue", "Broker/Server", "Queues", "Accounts", "Chat", "Customers", "Routing",
        "Supervision", "Upkeep",
      ], strangers: ["Accounts", "Chat", "Customers", "Routing", "Supervision"]),
    House(
      folder: "Sim",
      rooms: [
        "Kernel", "Strategies", "World", "Linearizability", "Model", "Counters", "Parsing", "PostgreSQL", "Faults",
        "Scenario", "Workload",
        "Oracles", "Pairs", "Run", "Report", "Explore", "Search",
      ]),
  ]

  /// The modules that each folder may import. The compiler also accepts undeclared modules if they
  /// were built before.
  static let importsByFolder: [(folder: String, modules: Set<String>)] = [
    ("Sources/System/RuntimeHooks", ["CConcurrency", "_Concurrency"]),
    ("Sources/System/Environment", ["Synchronization"]),
    ("Sources/System", ["COpenSSL", "CSQLite", "Environment", "Swift", "Synchronization"]),
    ("Sources/Sim/Kernel", ["Environment", "Glibc", "RuntimeHooks", "Synchronization"]),
    ("Sources/Sim/Strategies", ["Environment"]), ("Sources/Sim/World", ["Environment", "Synchronization"]),
    ("Sources/Sim/Linearizability", []), ("Sources/Sim/Model", ["Simulation"]),
    ("Sources/Sim", ["Environment", "Simulation", "Synchronization", "System"]),
    ("Sources/Runner/Real", ["CLinux", "Environment", "RuntimeHooks", "Foundation", "Glibc", "Synchronization"]),
  ]

  /// A source file without comments and without the text of its string literals.
  private struct Source {
    let name: String
    let room: String
    let lines: [Substring]

    init(_ file: (name: String, lines: [String]), in house: House) {
      name = file.name
      let folder = String(file.name.dropFirst("Sources/\(house.folder)/".count)).deletingLastComponent
      // A folder inside a room belongs to it.
      room = house.rooms.filter { "\(folder)/".hasPrefix("\($0)/") }.max { $0.count < $1.count } ?? folder
      let text = file.lines.map { line in
        line.firstRange(of: "//").map { String(line[..<$0.lowerBound]) } ?? line
      }.joined(separator: "\n")
      let bare = text.replacing(/"""(?s:.*?)"""/, with: "\"\"").replacing(/"(?:\\.|[^"\\\n])*"/) { literal in
        // Interpolations are code.
        literal.output.matches(of: /\\\(([^"]*?)\)/).map { String($0.output.1) }.joined(separator: " ")
      }
      lines = bare.split(separator: "\n", omittingEmptySubsequences: false)
    }

    /// The names that the file declares at the top level, and the nested or private ones.
    var declarations: (outer: Set<String>, nested: Set<String>) {
      var outer: Set<String> = []
      var nested: Set<String> = []
      let keyword = /\b(struct|class|enum|actor|protocol|typealias|func|let|var|case)\s+([A-Za-z_]\w*)/
      for line in lines {
        guard let match = line.firstMatch(of: keyword.wordBoundaryKind(.simple)) else { continue }
        let isPrivate = line[..<match.range.lowerBound].contains("private")
        if line.first == " " || isPrivate {
          nested.insert(String(match.output.2))
        } else {
          outer.insert(String(match.output.2))
        }
      }
      return (outer, nested)
    }

    /// Every name that the file uses, except members.
    var names: Set<String> {
      let name = /(?:^|[^.\w])([A-Za-z_]\w*)/
      return Set(lines.flatMap { $0.matches(of: name).map { String($0.output.1) } })
    }
  }

  @Test("a folder uses only the folders below it", arguments: houses)
  func rooms(_ house: House) throws {
    let sources = try TidyTests.files(under: "Sources/\(house.folder)").map { Source($0, in: house) }
    var homes: [String: Set<String>] = [:]
    var own: [String: Set<String>] = [:]
    for source in sources {
      let (outer, nested) = source.declarations
      for name in outer { homes[name, default: []].insert(source.room) }
      own[source.room, default: []].formUnion(outer.union(nested))
    }
    let order = Dictionary(uniqueKeysWithValues: house.rooms.enumerated().map { ($1, $0) })
    var uses = 0
    for source in sources {
      guard let place = order[source.room] else {
        // The compiler checks folders of other targets.
        #expect(house.folder != "System", "\(source.name) is in no folder that WallTests knows")
        continue
      }
      for name in source.names.subtracting(own[source.room]!) {
        guard let rooms = homes[name], rooms.count == 1, let other = order[rooms.first!] else { continue }
        uses += 1
        let areStrangers = house.strangers.isSuperset(of: [source.room, rooms.first!])
        #expect(other <= place && !areStrangers, "\(source.name) uses \(name) of \(rooms.first!)")
      }
    }
    #expect(uses > 20, "the test found too few uses")
  }

  @Test("a folder imports only the modules that it may", arguments: importsByFolder.map(\.folder))
  func modules(of folder: String) throws {
    let allowed = Self.importsByFolder.first { $0.folder == folder }!.modules
    let inner = Self.importsByFolder.map(\.folder).filter { $0 != folder && $0.hasPrefix(folder + "/") }
    for file in try TidyTests.files(under: folder) where !inner.contains(where: { file.name.hasPrefix($0 + "/") }) {
      for line in file.lines {
        guard let match = line.firstMatch(of: /^(?:@\S+ )*import (?:\w+ )?(\w+)/) else { continue }
        #expect(allowed.contains(String(match.output.1)), "\(file.name): \(line)")
      }
    }
  }
}

extension String {
  fileprivate var deletingLastComponent: String {
    lastIndex(of: "/").map { String(self[..<$0]) } ?? ""
  }
}
