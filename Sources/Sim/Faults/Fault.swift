import System

/// A fault of a scenario: what goes wrong, and when.
public struct Fault: Sendable {
  /// All kinds of faults. A new kind is a file in this folder and a line here.
  static let kinds: [any FaultKind.Type] = [
    Crash.self, Pause.self, Drain.self, ConnectionReset.self, Partition.self, DiskFault.self, Stalls.self, Skew.self,
    CertificateFault.self, DatabaseFault.self,
  ]

  let kind: any FaultKind
  let from: Duration
  /// The number of jobs after which it strikes, in place of the time `from`.
  var step: Int?
  /// The end of a fault that lasts, and of repeated strikes.
  let to: Duration
  /// The mean time between strikes; nil for a fault that strikes once.
  let every: Duration?

  /// The node that it strikes; nil for a fault of the network.
  var node: String? { kind.node }
  /// The kind and the node, as in "crash chat": the name of the fault in `sometimes`.
  var label: String { kind.label }
  /// What happens, in a sentence.
  var sentence: String { kind.sentence }
}

extension Fault {
  private static let timing = ["at", "atStep", "from", "to", "every"]

  /// Reads a fault of a scenario whose users act for `run`.
  init(_ value: ScenarioValue, among nodes: NodeNames, run: Duration) throws(ScenarioError) {
    let named = Self.kinds.filter { value[$0.key] != nil }
    guard named.count == 1, let subject = value[named[0].key] else {
      throw value.error("a fault is exactly one of \(Self.kinds.map { $0.key }.joined(separator: ", "))")
    }
    let type = named[0]
    step = try value["atStep"]?.int(Bounds.draws)
    (from, to, every) = try Self.times(value, of: type, run)
    value.requireKeys(Self.timing + [type.key] + type.moreKeys)
    kind = try type.init(value, subject, among: nodes)
  }

  private static func times(
    _ value: ScenarioValue, of kind: any FaultKind.Type, _ run: Duration
  ) throws(ScenarioError) -> (from: Duration, to: Duration, every: Duration?) {
    let every = try value["every"]?.duration(Bounds.interval)
    let times: (from: Duration, to: Duration)
    if let step = value["atStep"] {
      guard value["at"] == nil, value["from"] == nil, every == nil else {
        throw step.error("\"atStep\" excludes \"at\", \"from\" and \"every\"")
      }
      guard kind.lasts || value["to"] == nil else { throw step.error("a fault at one moment has no \"to\"") }
      times = (.zero, try value["to"]?.duration(Bounds.pause) ?? run)
    } else if let at = value["at"] {
      guard value["from"] == nil, value["to"] == nil, value["every"] == nil else {
        throw value.error("\"at\" excludes \"from\", \"to\" and \"every\"")
      }
      guard !kind.lasts else { throw at.error("a fault that lasts has \"from\" and \"to\", not \"at\"") }
      let moment = try at.duration(Bounds.pause)
      times = (moment, moment)
    } else if let from = value["from"] {
      guard every != nil || kind.lasts else {
        throw from.error("a fault at one moment has \"at\"; with \"every\" it strikes repeatedly")
      }
      times = (try from.duration(Bounds.pause), try value["to"]?.duration(Bounds.pause) ?? run)
    } else {
      throw value.error("a fault needs a time: \"at\", \"atStep\", or \"from\"")
    }
    guard times.from <= times.to, times.to <= run else {
      throw value.error("a fault must be within the run")
    }
    return (times.from, times.to, every)
  }
}
