/// Code that has to survive any input: it may refuse it, and must neither trap nor run for ever.
struct FuzzTarget: Sendable {
  /// The name of its folder in `Tests/Corpus`.
  let name: String
  /// Feeds it one input.
  let run: @Sendable ([UInt8]) -> Void

  init(_ name: String, _ run: @escaping @Sendable ([UInt8]) -> Void) {
    self.name = name
    self.run = run
  }

  /// Every target, in the order in which `scripts/fuzz-inputs` runs them.
  static let all = parsers + files + conversations

  /// The target of a name.
  static func named(_ name: String) -> FuzzTarget? { all.first { $0.name == name } }
}
