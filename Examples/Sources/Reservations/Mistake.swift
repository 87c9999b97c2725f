/// A mistake that the service makes when asked to, for the simulation to find.
public enum Mistake: String, Sendable, CaseIterable {
  /// Acknowledges a reservation that a power loss may undo.
  case acknowledgesBeforeSync = "acknowledges-before-sync"
  /// Does not look again whether the seat is free after waiting for the file.
  case checksOnce = "checks-once"
}
