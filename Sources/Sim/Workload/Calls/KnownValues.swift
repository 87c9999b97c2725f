import Simulation
import System

/// What callers have learned from answers and events: values that exist, existed once, or exist for
/// others. All callers of a run share it.
final class KnownValues {
  /// The most values of a kind, and the most that are gone.
  private static let most = 12

  private struct Values {
    var live: [JSONValue] = []
    /// Values that a service no longer knows.
    var gone: [JSONValue] = []
  }

  private var kinds: [String: Values] = [:]

  /// Whether a value of the kind is known and not gone.
  func has(_ kind: String) -> Bool { !(kinds[kind]?.live.isEmpty ?? true) }

  /// The number of values of a kind that are not gone.
  func count(_ kind: String) -> Int { kinds[kind]?.live.count ?? 0 }

  /// Learns from a field and everything in it.
  func learn(_ value: JSONValue, named name: String) {
    switch value {
    case .object(let members): for member in members { learn(member.value, named: member.name) }
    case .array(let elements): for element in elements { learn(element, named: name) }
    case .string, .int:
      if let kind = ValueKind.all(of: name).first { learn(value, of: kind) }
    default: break
    }
  }

  private func learn(_ value: JSONValue, of kind: String) {
    var values = kinds[kind] ?? Values()
    guard !values.live.contains(value) else { return }
    values.gone.removeAll { $0 == value }
    values.live.append(value)
    if values.live.count > Self.most { values.live.removeFirst() }
    kinds[kind] = values
  }

  /// Notes that a service no longer knows a value.
  func lose(_ value: JSONValue, named name: String) {
    for kind in ValueKind.all(of: name) {
      guard var values = kinds[kind], let index = values.live.firstIndex(of: value) else { continue }
      values.gone.append(values.live.remove(at: index))
      if values.gone.count > Self.most { values.gone.removeFirst() }
      kinds[kind] = values
    }
  }

  /// A value of one of the kinds, rarely one that is gone; nil if none is known.
  func draw(_ wanted: [String], _ stream: ChoiceStream) -> JSONValue? {
    let gone = wanted.flatMap { kinds[$0]?.gone ?? [] }
    if !gone.isEmpty, stream.chance(0.05) { return stream.pick(gone) }
    // The newest most often: older ones may have ended without a word.
    let newest = stream.chance(0.5) ? 3 : Self.most
    return stream.pickAny(of: wanted.flatMap { kinds[$0]?.live.suffix(newest) ?? [] })
  }
}
