import System

/// The names that a scenario file may use for nodes.
struct NodeNames {
  /// The nodes of services, then those of users.
  let all: [String]
  /// The users by the common name of their group: `ann` stands for `ann-1`, `ann-2` and so on.
  let groups: [(name: String, members: [String])]

  /// Reads the name of a node.
  func name(_ value: ScenarioValue) throws(ScenarioError) -> String {
    let name = try value.string()
    try require(name, value)
    return name
  }

  /// Throws an error at `value` unless there is a node called `name`.
  func require(_ name: String, _ value: ScenarioValue) throws(ScenarioError) {
    guard all.contains(name) else {
      throw value.error("\"\(name)\" is not in the topology\(Spelling.hint(name, among: all))")
    }
  }
}
