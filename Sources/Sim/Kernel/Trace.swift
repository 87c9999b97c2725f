import System

/// What happened, for people and for the hash. Every event is mixed into the run's hash; when a sink is there, it also
/// becomes one line of JSON: `{"at":NANOSECONDS,"node":…,"event":…,"detail":…}`.
public final class Trace: @unchecked Sendable {
  /// The kinds of events.
  public enum Kind: UInt8, CaseIterable, Sendable {
    case boot = 1
    case crash, pause, resume, drain, ended
    case connect, accepted, refused, send, reset, close
    case diskWrite, diskSync, diskFault
    case fault, log
  }

  private let hash: RunHash
  private let sink: ((String) -> Void)?
  /// The virtual time; set by the world.
  var clock: () -> Int64 = { 0 }

  init(hash: RunHash, sink: ((String) -> Void)? = nil) {
    self.hash = hash
    self.sink = sink
  }

  /// Notes an event. `value` goes into the hash; `detail` is only evaluated when somebody records the trace.
  func event(_ kind: Kind, _ node: String, value: UInt64 = 0, _ detail: @autoclosure () -> String = "") {
    hash.mix(UInt64(kind.rawValue) << 56 ^ UInt64(bitPattern: clock()))
    hash.mix(value)
    guard let sink else { return }
    let line: JSONValue = [
      "at": .int(clock()), "node": .string(node), "event": .string("\(kind)"), "detail": .string(detail()),
    ]
    sink(line.text)
  }

  /// Notes bytes on the network: all of them count.
  func bytes(_ kind: Kind, _ node: String, _ bytes: ArraySlice<UInt8>, _ detail: @autoclosure () -> String = "") {
    event(kind, node, value: FNV.words(bytes), detail())
  }
}
