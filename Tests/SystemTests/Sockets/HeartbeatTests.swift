@testable import Environment
import Testing

@testable import System

@Suite("Heartbeats of sessions")
struct HeartbeatTests {
  private static let options: EngineIOOptions = {
    var options = EngineIOOptions()
    options.pingInterval = .seconds(25)
    options.pingTimeout = .seconds(20)
    return options
  }()

  private static func at(_ seconds: Int64) -> Instant { Instant(nanoseconds: seconds * 1_000_000_000) }

  /// What a heartbeat that is due at some second does, as text.
  private static func due(_ heartbeat: inout Heartbeat, _ second: Int64) -> String {
    switch heartbeat.due(at: at(second), options) {
    case .ping(let next): "ping, next at \(next.nanoseconds / 1_000_000_000)"
    case .wait(let next): "wait until \(next.nanoseconds / 1_000_000_000)"
    case .timeOut: "time out"
    }
  }

  @Test("the next ping comes an interval after the pong, not after the last ping")
  func answered() {
    var heartbeat = Heartbeat()
    #expect(Self.due(&heartbeat, 25) == "ping, next at 45")
    heartbeat.receivePong(at: Self.at(27))
    #expect(Self.due(&heartbeat, 45) == "wait until 52")
    #expect(Self.due(&heartbeat, 52) == "ping, next at 72")
    heartbeat.receivePong(at: Self.at(72))
    #expect(Self.due(&heartbeat, 72) == "wait until 97")
  }

  @Test("a ping without a pong ends the session after the time-out")
  func unanswered() {
    var heartbeat = Heartbeat()
    #expect(Self.due(&heartbeat, 25) == "ping, next at 45")
    #expect(Self.due(&heartbeat, 45) == "time out")
  }

  @Test("an earlier pong does not answer a later ping, and one at the instant of the ping does")
  func early() {
    var heartbeat = Heartbeat()
    heartbeat.receivePong(at: Self.at(10))
    #expect(Self.due(&heartbeat, 25) == "ping, next at 45")
    #expect(Self.due(&heartbeat, 45) == "time out")
    heartbeat = Heartbeat()
    #expect(Self.due(&heartbeat, 25) == "ping, next at 45")
    heartbeat.receivePong(at: Self.at(25))
    #expect(Self.due(&heartbeat, 45) == "wait until 50")
  }
}
