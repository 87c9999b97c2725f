import Simulation
import System

/// Sockets that are recovered, in drawn scenarios.
extension ScenarioDraw {
  /// The group, with a chance of 0.4 of devices that ask for recovery: some or all.
  func recovering(_ people: JSONValue) -> JSONValue {
    guard recoveries.chance(0.4) else { return people }
    return people.setting("recover", .double(recoveries.pick([0.5, 1])))
  }
}
