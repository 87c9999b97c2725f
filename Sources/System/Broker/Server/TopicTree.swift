/// The patterns of a topic exchange as a tree of words (a trie), so that a routing key is not
/// compared with every pattern.
///
/// A match follows all matching nodes at once. It takes at most the number of words times the
/// number of nodes that they reach. Both are bounded, since keys and patterns have at most 255
/// bytes.
struct TopicTree: Sendable {
  private struct Node: Sendable {
    var parent = 0
    var word = ""
    /// Whether it is a `#`, which matches any number of words.
    var isHash = false
    var children: [ExactText: Int] = [:]
    /// The children for `*` and `#`.
    var star: Int?
    var hash: Int?
    /// The pattern that ends here.
    var pattern: String?

    var isUnused: Bool { pattern == nil && children.isEmpty && star == nil && hash == nil }

    func child(_ word: String) -> Int? {
      switch word {
      case "*": star
      case "#": hash
      default: children[ExactText(word)]
      }
    }

    mutating func setChild(_ word: String, _ place: Int?) {
      switch word {
      case "*": star = place
      case "#": hash = place
      default: children[ExactText(word)] = place
      }
    }
  }

  private var nodes = [Node()]
  private var unused: [Int] = []

  mutating func insert(_ pattern: String) {
    var place = 0
    for word in Topic.words(pattern).map(String.init) {
      if let next = nodes[place].child(word) {
        place = next
        continue
      }
      let next = unused.popLast() ?? nodes.count
      if next == nodes.count { nodes.append(Node()) }
      nodes[next] = Node(parent: place, word: word, isHash: word == "#")
      nodes[place].setChild(word, next)
      place = next
    }
    nodes[place].pattern = pattern
  }

  mutating func remove(_ pattern: String) {
    var place = 0
    for word in Topic.words(pattern) {
      guard let next = nodes[place].child(String(word)) else { return }
      place = next
    }
    nodes[place].pattern = nil
    while place != 0, nodes[place].isUnused {
      let node = nodes[place]
      nodes[node.parent].setChild(node.word, nil)
      nodes[place] = Node()
      unused.append(place)
      place = node.parent
    }
  }

  /// The patterns that match a key, in unspecified order.
  func patterns(matching words: [Substring]) -> [String] {
    var places: [Int] = []
    // A `#` is reached from itself and from its parent. Every other node is reached from its parent
    // alone.
    var hashes: Set<Int> = []
    /// Adds a node, and those that are reached from it without a word.
    func reach(_ place: Int) {
      var next: Int? = place
      while let place = next, !nodes[place].isHash || hashes.insert(place).inserted {
        places.append(place)
        next = nodes[place].hash
      }
    }
    reach(0)
    for word in words.map(String.init) {
      let last = places
      places.removeAll(keepingCapacity: true)
      hashes.removeAll(keepingCapacity: true)
      for place in last {
        if nodes[place].isHash { reach(place) }
        if !nodes[place].children.isEmpty, let next = nodes[place].children[ExactText(word)] { reach(next) }
        if let next = nodes[place].star { reach(next) }
      }
    }
    return places.compactMap { nodes[$0].pattern }
  }
}
