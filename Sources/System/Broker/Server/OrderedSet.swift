/// A set that keeps the order of insertion. All operations take amortized constant time, but for
/// `elements`.
struct OrderedSet<Element: Hashable & Sendable>: Sendable {
  /// nil where an element was removed. At most half of the places are nil, or 16.
  private var places: [Element?] = []
  private var index: [Element: Int] = [:]

  var count: Int { index.count }
  var isEmpty: Bool { index.isEmpty }
  /// The elements, oldest first.
  var elements: [Element] { places.compactMap { $0 } }

  func contains(_ element: Element) -> Bool { index[element] != nil }

  /// A number that grows with the order of insertion. It is valid until an element is removed.
  func place(of element: Element) -> Int? { index[element] }

  /// Adds an element at the end. Returns false when the set contains it.
  @discardableResult
  mutating func insert(_ element: Element) -> Bool {
    guard index[element] == nil else { return false }
    index[element] = places.count
    places.append(element)
    return true
  }

  /// Removes an element. Returns false when the set does not contain it.
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
