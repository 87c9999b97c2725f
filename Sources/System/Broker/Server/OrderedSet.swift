/// A set in the order of insertion, in which whatever is asked for takes constant time.
struct OrderedSet<Element: Hashable & Sendable>: Sendable {
  /// nil where an element was removed. Half of them at most, beside a few.
  private var places: [Element?] = []
  private var index: [Element: Int] = [:]

  var count: Int { index.count }
  var isEmpty: Bool { index.isEmpty }
  /// The elements, the oldest first.
  var elements: [Element] { places.compactMap { $0 } }

  func contains(_ element: Element) -> Bool { index[element] != nil }

  /// A number that grows with the order. It holds until something is removed.
  func place(of element: Element) -> Int? { index[element] }

  /// Adds an element at the end; false when it is there.
  @discardableResult
  mutating func insert(_ element: Element) -> Bool {
    guard index[element] == nil else { return false }
    index[element] = places.count
    places.append(element)
    return true
  }

  /// Removes an element; false when it is not there.
  @discardableResult
  mutating func remove(_ element: Element) -> Bool {
    guard let place = index.removeValue(forKey: element) else { return false }
    places[place] = nil
    if places.count > 16, places.count > 2 * index.count {
      places = places.filter { $0 != nil }
      for (place, element) in places.enumerated() { index[element!] = place }
    }
    return true
  }
}
