import System

/// Programs that use queues, in drawn scenarios.
extension ScenarioDraw {
  /// One or more programs beside the services. With `busy` they publish much.
  func workers(busy: Bool) -> [JSONValue] {
    // Messages expire, have priorities, are dropped from full queues, and become dead letters.
    if !busy, stream.chance(0.3) {
      return [
        [
          "name": "limited", "role": "worker", "limits": true, "count": .int(Int64(1 + stream.choose(3))),
          "thinkTime": .string(stream.pick(["150ms", "400ms", "1s"])), "batch": .int(stream.pick([5, 20, 60])),
        ]
      ]
    }
    // All methods and arguments.
    if !busy, stream.chance(0.5) {
      return [
        [
          "name": "method", "role": "worker", "methods": true, "count": .int(Int64(1 + stream.choose(3))),
          "thinkTime": .string(stream.pick(["50ms", "150ms", "400ms"])), "batch": .int(stream.pick([1, 5, 20])),
        ]
      ]
    }
    return [
      [
        "name": "work", "role": "worker", "count": .int(Int64(1 + stream.choose(3))),
        "thinkTime": .string(stream.pick(busy ? ["150ms", "400ms"] : ["150ms", "400ms", "1s"])),
        "batch": .int(busy ? 100 : stream.pick([1, 5, 20, 100])),
        "workTime": .string(stream.pick(busy ? ["1ms", "20ms"] : ["1ms", "20ms", "200ms", "1s"])),
        "failing": .double(stream.pick([0, 0.1, 0.4])),
      ]
    ]
  }
}
