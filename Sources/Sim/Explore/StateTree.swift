import Environment
import System

/// What a service holds in memory as a tree of names and values, as reflection finds it.
///
/// It sees every type of `System`, so a new property is shown the same day. Depth and size are
/// bounded.
struct StateTree {
  let name: String
  /// The value, or the number of elements.
  let text: String
  let children: [StateTree]

  private static let mostDepth = 9
  /// The most elements of a collection that are shown, and the most values of a tree.
  private static let mostElements = 30
  private static let mostValues = 1500
  private static let longest = 120

  /// Types that are not looked into: those that refer to memory of others or to objects that may be
  /// gone, and those that say nothing about the state.
  private static let closed = Holdings.closed.union([
    "System.Database", "System.Responder", "System.Metrics", "System.PlantedBugs", "System.Certificates",
  ])

  /// Properties that say nothing about the state.
  private static let dull: Set<String> = [
    "environment", "serialExecutor", "options", "listener", "log", "metrics", "clock", "addresses", "address",
    "requestMemory", "answerMemory",
  ]

  /// What has been looked at in a tree.
  private struct Walk {
    var seen: Set<ObjectIdentifier> = []
    var count = 0
  }

  init(of service: Any, named name: String) {
    var walk = Walk()
    self = Self.tree(service, name, 0, &walk)
  }

  private init(_ name: String, _ text: String, _ children: [StateTree] = []) {
    (self.name, self.text, self.children) = (name, text, children)
  }

  private static func tree(_ value: Any, _ name: String, _ depth: Int, _ walk: inout Walk) -> StateTree {
    walk.count += 1
    if let text = leaf(value) { return StateTree(name, text) }
    let mirror = Mirror(reflecting: value)
    let type = String(reflecting: mirror.subjectType)
    let isDeep = depth >= mostDepth
    switch mirror.displayStyle {
    case .optional?:
      guard let inside = mirror.children.first else { return StateTree(name, "nil") }
      return tree(inside.value, name, depth, &walk)
    case .enum?:
      guard let inside = mirror.children.first else { return StateTree(name, "\(value)") }
      let label = inside.label ?? ""
      return StateTree(name, label, isDeep ? [] : [tree(inside.value, label, depth + 1, &walk)])
    case .collection?, .set?, .dictionary?:
      return StateTree(name, "\(mirror.children.count)", isDeep ? [] : elements(mirror, depth, &walk))
    default:
      let leaf = StateTree(name, short(type))
      guard type.hasPrefix("System.") || mirror.displayStyle == .tuple, !isDeep, !closed.contains(type) else {
        return leaf
      }
      // An object that was met before is not looked into again.
      if mirror.subjectType is AnyObject.Type, !walk.seen.insert(ObjectIdentifier(value as AnyObject)).inserted {
        return leaf
      }
      return StateTree(name, leaf.text, properties(mirror, depth, &walk))
    }
  }

  private static func properties(_ mirror: Mirror, _ depth: Int, _ walk: inout Walk) -> [StateTree] {
    var found: [StateTree] = []
    for child in mirror.children where walk.count < mostValues {
      let name = child.label ?? ""
      guard !dull.contains(name) else { continue }
      found.append(tree(child.value, name.replacing("$__lazy_storage_$_", with: ""), depth + 1, &walk))
    }
    return found
  }

  /// The elements: those of a list in its order, and those of a set or a dictionary sorted.
  private static func elements(_ mirror: Mirror, _ depth: Int, _ walk: inout Walk) -> [StateTree] {
    var elements: [(name: String, value: Any)] = []
    for (index, child) in mirror.children.enumerated() {
      switch mirror.displayStyle {
      case .dictionary?:
        let pair = Array(Mirror(reflecting: child.value).children)
        if pair.count == 2 { elements.append((key(pair[0].value), pair[1].value)) }
      case .set?: elements.append((key(child.value), child.value))
      default: elements.append(("\(index)", child.value))
      }
    }
    if mirror.displayStyle != .collection { elements.sort { ($0.name.count, $0.name) < ($1.name.count, $1.name) } }
    var found: [StateTree] = []
    for (name, value) in elements.prefix(mostElements) where walk.count < mostValues {
      found.append(tree(value, name, depth + 1, &walk))
    }
    return found
  }

  /// The text of a key: its value, or that of its only property.
  private static func key(_ value: Any) -> String {
    if let text = leaf(value) { return text }
    let parts = Mirror(reflecting: value).children.compactMap { leaf($0.value) }
    return parts.isEmpty ? "\(value)" : parts.joined(separator: ", ")
  }

  private static func leaf(_ value: Any) -> String? {
    switch value {
    case is [Any] where Mirror(reflecting: value).children.isEmpty: "0"
    case let text as String: "\"\(text.prefix(longest))\""
    case let bytes as [UInt8]: "\(bytes.count) bytes"
    case let number as any BinaryInteger: "\(number)"
    case let number as any BinaryFloatingPoint: "\(number)"
    case let flag as Bool: "\(flag)"
    case let time as Duration: DurationText.format(time)
    case let time as Instant: VirtualTime.text(time.nanoseconds)
    default: nil
    }
  }

  /// The name of a type without its module and its arguments.
  private static func short(_ type: String) -> String {
    type.hasPrefix("(") ? "" : String(type.prefix { $0 != "<" }.split(separator: ".").last ?? "")
  }

  /// The tree as `[NAME, TEXT, [CHILD…]]`.
  var json: JSONValue { [.string(name), .string(text), .array(children.map(\.json))] }
}
