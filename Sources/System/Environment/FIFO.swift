/// A first-in, first-out queue. Removing the first element takes amortized constant time.
package struct FIFO<Element> {
  private var elements: [Element?] = []
  private var head = 0

  package init() {}

  package var count: Int { elements.count - head }
  package var isEmpty: Bool { count == 0 }
  package var first: Element? { isEmpty ? nil : elements[head] }

  /// The element at a place, counted from the first one.
  package subscript(place: Int) -> Element { elements[head + place]! }

  package mutating func append(_ element: Element) { elements.append(element) }

  /// Removes and returns the first element, or returns nil if the queue is empty.
  package mutating func popFirst() -> Element? {
    guard head < elements.count else { return nil }
    let element = elements[head]
    elements[head] = nil
    head += 1
    if head == elements.count {
      // An empty queue keeps no storage.
      elements = []
      head = 0
    } else if head >= 32, head * 2 >= elements.count {
      elements.removeFirst(head)
      head = 0
    }
    return element
  }

  package mutating func removeAll() {
    elements = []
    head = 0
  }
}
