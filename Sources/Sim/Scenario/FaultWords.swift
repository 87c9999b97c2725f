import System

/// What faults are called: briefly, to be counted, and in a sentence, for people.
extension Fault {
  /// The node that it strikes, when it is one.
  var node: String? {
    switch kind {
    case .crash(let node, _, _, _), .pause(let node, _), .drain(let node, _), .reset(let node), .disk(let node, _),
      .skew(let node, _):
      node
    case .partition, .link: nil
    }
  }

  /// The kind and the node: "crash chat".
  var label: String {
    switch kind {
    case .crash(let node, let death, let inCommit, _):
      (inCommit ? "crash-in-commit " : death == .power ? "power-loss " : "crash ") + node
    case .pause(let node, _): "pause \(node)"
    case .drain(let node, _): "drain \(node)"
    case .reset(let node): "reset \(node)"
    case .partition(let from, let to, _):
      "partition \(from.first ?? "")|\(to.first ?? "")"
    case .disk(let node, _): "disk \(node)"
    case .link: "stalls"
    case .skew(let node, _): "skew \(node)"
    }
  }

  /// What happens, in a sentence.
  var sentence: String {
    switch kind {
    case .crash(let node, let death, let inCommit, _):
      "\(node) \(death == .power ? "loses its power" : "is killed")\(inCommit ? " in the middle of its next commit" : "")"
    case .pause(let node, _): "\(node) is stopped for a while"
    case .drain(let node, _): "\(node) is told to stop in order"
    case .reset(let node): "all connections of \(node) are reset"
    case .partition(let from, let to, let oneWay):
      "what \(from.joined(separator: ", ")) sends does not reach \(to.joined(separator: ", "))\(oneWay ? "" : ", nor the other way round")"
    case .disk(let node, let rule): "the disk of \(node) \(rule.sentence)"
    case .link(let stalls): "\(stalls) of all segments wait for a retransmission"
    case .skew(let node, let by): "the clock of \(node) jumps by \(DurationText.format(by))"
    }
  }
}

extension Fault.DiskRule {
  fileprivate var sentence: String {
    var parts: [String] = []
    if failingReads > 0 { parts.append("fails to read") }
    if failingWrites > 0 { parts.append("fails to write") }
    if failingSyncs > 0 { parts.append("fails to sync") }
    if rot > 0 { parts.append("reads wrong bits") }
    if slowness > 0 { parts.append("is slow") }
    if isFull { parts.append("is full") }
    return parts.joined(separator: " and ") + ", now and then"
  }
}
