/// Code that has to survive any input. It may refuse an input, but must not trap or run for ever.
struct FuzzTarget: Sendable {
  /// The name of its folder in `Tests/Corpus`.
  let name: String
  /// Runs one input.
  let run: @Sendable ([UInt8]) -> Void

  init(_ name: String, _ run: @escaping @Sendable ([UInt8]) -> Void) {
    self.name = name
    self.run = run
  }

  /// Every target, in the order in which `scripts/fuzz-inputs` runs them.
  static let all = parsers + tls + files + conversations

  /// The target with a name.
  static func named(_ name: String) -> FuzzTarget? { all.first { $0.name == name } }
}
