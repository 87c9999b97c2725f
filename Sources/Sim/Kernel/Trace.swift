import System

/// What happened, for people and for the hash. Every event is mixed into the run's hash; when a sink is there, it also
/// becomes one line of JSON: `{"at":NANOSECONDS,"node":…,"event":…,"detail":…}`.
public final class Trace: @unchecked Sendable {
  /// The kinds of events.
  public enum Kind: String, CaseIterable, Sendable {
    case boot, crash, restart, pause, resume, drain, ended
    case connect, accepted, refused, send, deliver, end, reset, close
    case diskWrite = "disk-write"
    case diskSync = "disk-sync"
    case diskFault = "disk-fault"
    case fault, operation, result, log, note
  }

  private let hash: RunHash
  private let sink: ((String) -> Void)?
  private let kinds: [Kind: UInt64]
  /// The virtual time; set by the world.
  var clock: () -> Int64 = { 0 }
  /// How often each kind happened.
  private(set) var counts: [Kind: Int] = [:]

  init(hash: RunHash, sink: ((String) -> Void)? = nil) {
    self.hash = hash
    self.sink = sink
    kinds = Dictionary(uniqueKeysWithValues: Kind.allCases.map { ($0, FNV.hash($0.rawValue.utf8)) })
  }

  /// Notes an event. `value` goes into the hash; `detail` is only evaluated when somebody records the trace.
  func event(_ kind: Kind, _ node: String, value: UInt64 = 0, _ detail: @autoclosure () -> String = "") {
    hash.mix(kinds[kind]! ^ UInt64(bitPattern: clock()))
    hash.mix(value)
    counts[kind, default: 0] += 1
    guard let sink else { return }
    let line: JSONValue = [
      "at": .int(clock()), "node": .string(node), "event": .string(kind.rawValue), "detail": .string(detail()),
    ]
    sink(line.text)
  }

  /// Notes bytes on the network: all of them count.
  func bytes(_ kind: Kind, _ node: String, _ bytes: ArraySlice<UInt8>, _ detail: @autoclosure () -> String = "") {
    event(kind, node, value: FNV.hash(bytes), detail())
  }

  /// Whether somebody records the trace, so that details are worth making.
  var isRecording: Bool { sink != nil }
}
