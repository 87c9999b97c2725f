import System

/// What a service holds in memory: the number of instances of each class, and of elements in the
/// collections of each property, as reflection finds them from the service.
///
/// It sees every type of `System`, so a new map or a new list is counted the same day.
struct Holdings {
  private(set) var counts: [String: Int] = [:]
  private var seen: Set<ObjectIdentifier> = []
  /// The names of types. To write one takes longer than to look at a value.
  private var names: [ObjectIdentifier: String] = [:]

  /// Types that are not looked into. SQLite frees the files and statements behind the first ones.
  /// The others refer to objects that may be gone.
  static let closed: Set<String> = [
    "System.SQLConnection", "System.StorageVFS", "System.DatabaseFile", "System.BrokerConsumer",
    "System.BrokerChannel",
  ]

  /// The most values that are looked at.
  private static let most = 200_000

  /// Counts what is reachable from a service.
  init(of service: Any) {
    var rest: [(value: Any, name: String)] = [(service, "")]
    var looked = 0
    while let (value, name) = rest.popLast(), looked < Self.most {
      looked += 1
      look(at: value, name, &rest)
    }
  }

  private mutating func look(at value: Any, _ name: String, _ rest: inout [(value: Any, name: String)]) {
    let mirror = Mirror(reflecting: value)
    switch mirror.displayStyle {
    case .collection?, .set?, .dictionary?:
      counts[name, default: 0] += Self.elements(of: mirror)
      // Numbers and texts hold nothing.
      guard let first = mirror.children.first, !Self.isLeaf(first.value) else { return }
      for child in mirror.children { rest.append((child.value, name)) }
    case .optional?, .tuple?:
      for child in mirror.children where !Self.isLeaf(child.value) { rest.append((child.value, name)) }
    case .class?, .struct?, .enum?, .foreignReference?:
      lookInside(mirror, value, &rest)
    case nil:
      // Actors have no display style.
      lookInside(mirror, value, &rest)
    default: return
    }
  }

  /// The elements of a collection. A place that is empty holds nothing.
  private static func elements(of mirror: Mirror) -> Int {
    guard let first = mirror.children.first, Mirror(reflecting: first.value).displayStyle == .optional else {
      return mirror.children.count
    }
    return mirror.children.count { !Mirror(reflecting: $0.value).children.isEmpty }
  }

  private mutating func lookInside(_ mirror: Mirror, _ value: Any, _ rest: inout [(value: Any, name: String)]) {
    let type = name(of: mirror.subjectType)
    guard !type.isEmpty else { return }
    if mirror.subjectType is AnyObject.Type {
      guard seen.insert(ObjectIdentifier(value as AnyObject)).inserted else { return }
      counts[type, default: 0] += 1
    }
    guard !Self.closed.contains(type) else { return }
    var current: Mirror? = mirror
    while let level = current {
      for child in level.children {
        guard !Self.isLeaf(child.value) else { continue }
        rest.append((child.value, "\(type).\(child.label ?? "")"))
      }
      current = level.superclassMirror
    }
  }

  /// The name of a type of `System`; empty for any other type.
  private mutating func name(of type: Any.Type) -> String {
    if let known = names[ObjectIdentifier(type)] { return known }
    let full = String(reflecting: type)
    let name = full.hasPrefix("System.") ? full : ""
    names[ObjectIdentifier(type)] = name
    return name
  }

  private static let leaves: Set<ObjectIdentifier> = [
    ObjectIdentifier(String.self), ObjectIdentifier(Int.self), ObjectIdentifier(Int64.self),
    ObjectIdentifier(UInt8.self), ObjectIdentifier(Bool.self), ObjectIdentifier(UInt64.self),
    ObjectIdentifier([UInt8].self),
  ]

  private static func isLeaf(_ value: Any) -> Bool { leaves.contains(ObjectIdentifier(type(of: value))) }
}
