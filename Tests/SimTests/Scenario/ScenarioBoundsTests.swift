@testable import Simulation
import Foundation
import System
import Testing

@testable import Sim

/// The valid values of a scenario file. All others are errors with a position.
@Suite("Bounds of scenario files")
struct ScenarioBoundsTests {
  private func errors(_ text: String) -> [String] {
    do throws(ScenarioError) {
      _ = try Scenario(parsing: Array(text.utf8), file: "f")
      return []
    } catch {
      return error.lines
    }
  }

  @Test("all errors of a file are reported, in the order of the file")
  func allErrors() {
    let text = """
      { name: 'x',
        run: '1m', grace: 'long',
        people: [{ name: 'a', count: 0, thinkTime: 7, actions: { logon: 1, login: 0 } }, { nam: 'b' }],
        faults: [{ crash: 'user', at: '1s' }, { pause: 'users' }],
        script: [{ at: '1s', who: 'c', does: 'login' }, { at: '1s', who: 'a', does: 'login' }],
        sometimes: ['requests, sucesses'], expect: { crashs: 1 },
        colour: 3 }
      """
    let found = errors(text)
    let places = found.map { $0.split(separator: ":")[1...2].joined(separator: ":") }
    #expect(
      places == [
        "2:21", "3:32", "3:46", "3:60", "3:77", "3:84", "3:86", "4:21", "4:41", "5:29", "6:15", "6:48", "7:3",
      ],
      "\(found.joined(separator: "\n"))")
  }

  /// Each value replaces `_`: those of the first list are valid, those of the second are not.
  @Test(
    "every number, time and chance has a range",
    arguments: [
      ("{ name: 'x', run: _ }", ["'1ms'", "'1d'"], ["'0s'", "'-1s'", "'366d'", "'99999999999d'", "5", "'1e3s'"]),
      ("{ name: 'x', grace: _ }", ["'1s'"], ["'0'", "'2d'"]),
      ("{ name: 'x', end: _ }", ["'1s'"], ["'0'", "'2d'"]),
      ("{ name: 'x', seed: _ }", ["0", "9223372036854775807"], ["-1", "1.5", "9223372036854775808", "1e12", "'1'"]),
      (
        "{ name: 'x', people: [{ name: 'a', count: _ }] }", ["1", "10000"],
        ["0", "-1", "10001", "1e12", "9223372036854775807"]
      ),
      ("{ name: 'x', people: [{ name: 'a', thinkTime: _ }] }", ["'1ms'"], ["'0s'", "'10us'", "'9d'"]),
      ("{ name: 'x', people: [{ name: 'a', patience: _ }] }", ["'1s'"], ["'0s'", "'9d'"]),
      ("{ name: 'x', people: [{ name: 'a', slowPause: _ }] }", ["'0'"], ["'9d'"]),
      (
        "{ name: 'x', people: [{ name: 'a', cutOff: _ }] }", ["0", "1", "0.5"], ["-0.1", "1.1", "1e400", "NaN", "'1'"]
      ),
      ("{ name: 'x', people: [{ name: 'a', actions: { login: _ } }] }", ["1"], ["0", "-1", "1e9", "1000001"]),
      ("{ name: 'x', people: [{ name: 'a', sharedNames: _ }] }", ["0", "3"], ["-1", "1e12"]),
      ("{ name: 'x', topology: { supervisorHosts: _ } }", ["1", "100"], ["0", "101", "1e12"]),
      ("{ name: 'x', service: { pingInterval: _ } }", ["'1s'"], ["'0s'", "'2d'"]),
      ("{ name: 'x', service: { accessTokenTtl: _ } }", ["'5s'", "'10d'"], ["'0s'", "'4000d'"]),
      ("{ name: 'x', service: { pagingBound: _ } }", ["0", "2000"], ["-1", "2000000000"]),
      ("{ name: 'x', service: { passwordRounds: _ } }", ["1"], ["0", "1e12", "1000000000"]),
      (
        "{ name: 'x', network: { latency: _ } }", ["'0'", "'1ms…2ms'"], ["'2s…1s'", "'1s…'", "'2d'", "'1s…2s…3s'", "3"]
      ),
      ("{ name: 'x', network: { splits: _ } }", ["0.1"], ["-0.1", "2"]),
      ("{ name: 'x', network: { window: _ } }", ["1", "65536"], ["0", "1e12", "9223372036854775807"]),
      (
        "{ name: 'x', clocks: { users: { drift: _ } } }", ["-800", "100000"],
        ["1e12", "100001", "-9223372036854775808"]
      ),
      ("{ name: 'x', clocks: { users: { skew: _ } } }", ["'-90s'", "'1h'"], ["'-4000d'", "'--1s'", "'99999d'"]),
      (
        "{ name: 'x', faults: [{ from: '1s', every: _, crash: 'users' }] }", ["'1s'"], ["'0s'", "'0'", "'-1s'", "'2d'"]
      ),
      ("{ name: 'x', faults: [{ at: _, crash: 'users' }] }", ["'1s'", "'0'"], ["'2m'", "'-1s'", "1"]),
      ("{ name: 'x', faults: [{ at: '1s', crash: 'users', restartAfter: _ }] }", ["'0…1s'"], ["'2s…1s'", "'2d'"]),
      ("{ name: 'x', faults: [{ at: '1s', pause: 'users', for: _ }] }", ["'1s'"], ["'2s…1s'", "'2d'"]),
      ("{ name: 'x', faults: [{ at: '1s', skew: 'users', by: _ }] }", ["'-1s'"], ["'-4000d'", "1"]),
      ("{ name: 'x', faults: [{ from: '1s', stalls: _ }] }", ["0.5"], ["1.5", "-1", "true"]),
      ("{ name: 'x', faults: [{ from: _, to: '20s', stalls: 0.1 }] }", ["'10s'"], ["'21s'"]),
      (
        "{ name: 'x', choices: { network: _ } }", ["[0, 0]", "[3, 9]"],
        ["[9, 3]", "[-1, 3]", "[1]", "[1e12, 1e13]", "3"]
      ),
      (
        "{ name: 'x', people: [{ name: 'a' }], script: [{ at: _, who: 'a', does: 'login' }] }", ["'0'"],
        ["'60s'", "'2m'"]
      ),
      ("{ name: 'x', expect: { requests: _ } }", ["1"], ["0", "-1", "1e12"]),
      ("{ name: _ }", ["'x'"], ["''", "'a\\u0000b'", "'\(String(repeating: "x", count: 201))'", "3"]),
    ])
  func ranges(text: String, taken: [String], refused: [String]) {
    for value in taken { #expect(errors(text.replacing("_", with: value)) == [], "\(value)") }
    for value in refused {
      let found = errors(text.replacing("_", with: value))
      #expect(found.count == 1 && found[0].hasPrefix("f:1:"), "\(value) in \(text): \(found)")
    }
  }

  @Test(
    "names that all services accept are valid",
    arguments: [
      ("ann", true), ("Ann-2", true), ("a", true), ("x9", true), ("Zoë", false), ("a b", false), ("a:b", false),
      ("", false), ("9a", false), ("-a", false), ("a-", false), ("a/b", false), ("a@b", false), ("a.b", false),
      ("a\u{300}", false), ("\u{200D}", false), (String(repeating: "a", count: 32), true),
      (String(repeating: "a", count: 33), false), ("operator", false), ("Users", false),
    ])
  func names(name: String, isTaken: Bool) {
    #expect(errors("{ name: 'x', people: [{ name: '\(name)' }] }").isEmpty == isTaken)
  }

  @Test(
    "keys and values without an effect are errors",
    arguments: [
      ("faults: [{ crash: 'users' }]", "a fault needs a time: \"at\", \"atStep\", or \"from\""),
      ("faults: [{ to: '3s', crash: 'users' }]", "a fault needs a time: \"at\", \"atStep\", or \"from\""),
      ("faults: [{ every: '3s', crash: 'users' }]", "a fault needs a time: \"at\", \"atStep\", or \"from\""),
      ("faults: [{ atStep: 5, at: '3s', crash: 'users' }]", "\"atStep\" excludes \"at\", \"from\" and \"every\""),
      ("faults: [{ atStep: 5, to: '3s', crash: 'users' }]", "a fault at one moment has no \"to\""),
      ("faults: [{ stalls: 0.1 }]", "a fault needs a time: \"at\", \"atStep\", or \"from\""),
      (
        "faults: [{ from: '1s', crash: 'users' }]",
        "a fault at one moment has \"at\"; with \"every\" it strikes repeatedly"
      ),
      ("faults: [{ at: '1s', stalls: 0.1 }]", "a fault that lasts has \"from\" and \"to\", not \"at\""),
      (
        "faults: [{ from: '1s', disk: 'users' }]",
        "a fault of a disk needs at least one of failingReads, failingWrites, failingSyncs, rot, slow, full"
      ),
      ("faults: [{ from: '1s', partition: [[], ['users']] }]", "a side of a partition has at least one node"),
      ("faults: [{ from: '1s', partition: [['a'], ['a']] }]", "a node can be on one side of a partition only"),
      ("sometimes: ['requests, sucesses']", "unknown event \"sucesses\"; did you mean \"successes\"?"),
      ("sometimes: ['crash users, requests']", "unknown event \"crash users\""),
      (
        "sometimes: ['requests, requests']",
        "an ordering is two different events, for example \"crash chat, messages-stored\""
      ),
      ("script: [{ at: '1s', who: 'a', does: 'login', to: 'a' }]", "login takes no \"to\""),
      ("people2: []", "unknown key \"people2\"; did you mean \"people\"?"),
    ])
  func silent(part: String, reason: String) {
    let found = errors("{ name: 'x', people: [{ name: 'a' }], \(part) }")
    #expect(found.count == 1 && found[0].hasSuffix(": " + reason), "\(found)")
  }

  @Test(
    "a group has the keys and the actions of its role",
    arguments: [
      ("role: 'chat', cutOff: 0.1", "\"cutOff\" is for people of the role account"),
      ("role: 'user', devices: 2", "\"devices\" is for people of the role chat or caller"),
      ("role: 'worker', transports: ['polling']", "\"transports\" is for people of the role chat or user or caller"),
      ("role: 'vandal', actions: { say: 1 }", "a vandal has no actions"),
      (
        "role: 'user', actions: { 'more-users': 1 }",
        "unknown action \"more-users\"; the role user has say, disconnect, vanish, leave, depart"
      ),
      (
        "role: 'customer', actions: { vanish: 1 }",
        "unknown action \"vanish\"; the role customer has say, read, more-users, end-session, race-for-session"
      ),
    ])
  func roles(keys: String, reason: String) {
    let found = errors("{ name: 'x', topology: { supervisorHosts: 1 }, people: [{ name: 'a', \(keys) }] }")
    #expect(found.count == 1 && found[0].hasSuffix(": " + reason), "\(found)")
  }

  @Test(
    "a step may name a target",
    arguments: [
      ("send-direct", "ann-2", true), ("typing", "ann-3", true), ("block", "ann-2", true),
      ("send-group", "ann-1", true),
      ("remove-member", "ann-3", true), ("read-history", "ann-2", true), ("leave-group", "bob", true),
      ("send-direct", "ann-1", false), ("send-direct", "bob", false), ("send-group", "ann-2", false),
      ("vanish", "ann-2", false), ("send-direct", "nobody", false),
    ])
  func targets(action: String, to: String, isTaken: Bool) {
    let text = """
      { name: 'x', topology: { chat: 1 },
        people: [{ name: 'ann', role: 'chat', count: 3 }, { name: 'bob', role: 'chat' }],
        script: [{ at: '1s', who: 'ann-1', does: '\(action)', to: '\(to)' }] }
      """
    #expect(errors(text).isEmpty == isTaken, "\(errors(text))")
  }

  private static let files: [String] = {
    let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../../scenarios")
      .standardizedFileURL
    let names = FileManager.default.enumerator(atPath: root.path)?.compactMap { $0 as? String } ?? []
    return names.filter { $0.hasSuffix(".json5") }.sorted().map { root.appending(path: $0).path }
  }()

  /// A file without its leading comments, so that all of its prefixes are parsed quickly.
  private static func text(_ file: String) throws -> [UInt8] {
    let lines = try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n").map(String.init)
    return Array(lines.drop { $0.hasPrefix("//") }.joined(separator: "\n").utf8)
  }

  private func isReadOrRefused(_ bytes: some Collection<UInt8>) -> Bool {
    do throws(ScenarioError) {
      _ = try Scenario(parsing: Array(bytes), file: "f")
      return true
    } catch {
      return !error.lines.isEmpty && error.lines.allSatisfy { $0.contains(#/^f:\d+:\d+: /#) }
    }
  }

  @Test("all scenario files are valid")
  func all() throws {
    #expect(Self.files.count > 50)
    for file in Self.files {
      let text = try String(contentsOfFile: file, encoding: .utf8)
      #expect(errors(text) == [], "\(file)")
    }
  }

  @Test("every prefix of every scenario file gives an error with line and column")
  func prefixes() throws {
    for file in Self.files {
      let text = try Self.text(file)
      for end in text.indices { #expect(isReadOrRefused(text[..<end]), "\(file), \(end) bytes") }
    }
  }

  @Test("a scenario file with any byte replaced is parsed or refused")
  func mutations() throws {
    let stream = Choices(seed: 1, hash: RunHash()).stream("mutations")
    let bytes = Array("{}[]:,'\"\\/*-+.0189xXeEuINtfn\n\t \u{0}\u{7F}é".utf8)
    for file in Self.files {
      let text = try Self.text(file)
      for _ in 0..<40 {
        var changed = text
        for _ in 0...stream.choose(3) {
          let place = stream.choose(changed.count)
          switch stream.choose(3) {
          case 0: changed[place] = stream.pick(bytes)
          case 1: changed.insert(stream.pick(bytes), at: place)
          default: if changed.count > 1 { changed.remove(at: place) }
          }
        }
        #expect(isReadOrRefused(changed), "\(String(decoding: changed, as: UTF8.self))")
      }
    }
  }
}
