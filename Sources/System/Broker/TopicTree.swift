/// The patterns of a topic exchange as a tree of their words, so that a routing key is compared with those that begin
/// as it does, and not with all.
struct TopicTree: Sendable {
  private struct Node: Sendable {
    var parent = 0
    var word = ""
    var children: [String: Int] = [:]
    /// The pattern that ends here.
    var pattern: String?
  }

  private var nodes = [Node()]
  private var unused: [Int] = []

  mutating func insert(_ pattern: String) {
    var place = 0
    for word in Topic.words(pattern).map(String.init) {
      if let next = nodes[place].children[word] {
        place = next
        continue
      }
      let next = unused.popLast() ?? nodes.count
      if next == nodes.count { nodes.append(Node()) }
      nodes[next] = Node(parent: place, word: word)
      nodes[place].children[word] = next
      place = next
    }
    nodes[place].pattern = pattern
  }

  mutating func remove(_ pattern: String) {
    var place = 0
    for word in Topic.words(pattern) {
      guard let next = nodes[place].children[String(word)] else { return }
      place = next
    }
    nodes[place].pattern = nil
    while place != 0, nodes[place].pattern == nil, nodes[place].children.isEmpty {
      let node = nodes[place]
      nodes[node.parent].children[node.word] = nil
      nodes[place] = Node()
      unused.append(place)
      place = node.parent
    }
  }

  /// The patterns that match a key, in no order that means something.
  func patterns(matching words: [Substring]) -> [String] {
    var places: [Int] = []
    var seen: Set<Int> = []
    /// Adds a place, and those that are reached from it with no word.
    func reach(_ place: Int?) {
      var next = place
      while let place = next, seen.insert(place).inserted {
        places.append(place)
        next = nodes[place].children["#"]
      }
    }
    reach(0)
    for word in words.map(String.init) {
      let last = places
      places = []
      seen = []
      for place in last {
        if nodes[place].word == "#" { reach(place) }
        reach(nodes[place].children[word])
        reach(nodes[place].children["*"])
      }
    }
    return places.compactMap { nodes[$0].pattern }
  }
}
