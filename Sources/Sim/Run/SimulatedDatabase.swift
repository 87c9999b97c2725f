import Environment
import Simulation
import System

/// The PostgreSQL of a run: a node of its own, what goes wrong in it, and what it does not know.
final class SimulatedDatabase: @unchecked Sendable {
  // Used on the thread of its world only.

  /// What goes wrong in it.
  let faults = PostgreSQLFaults()
  /// The statements that it was sent and does not know.
  private(set) var unknownStatements: [String] = []

  /// The program of its node.
  var program: SimNode.Program {
    { [self] environment in
      var options = PostgreSQLOptions()
      options.address = Scenario.databaseAddress
      options.faults = faults
      options.unknown = { [self] in if !unknownStatements.contains($0) { unknownStatements.append($0) } }
      return try await PostgreSQLServer.start(environment, options)
    }
  }

  /// The options by which a service reaches it.
  static var servers: PostgresOptions {
    do throws(PostgresURL.Invalid) {
      return PostgresOptions(try PostgresURL(parsing: "postgresql://parley@\(Scenario.databaseAddress)/parley"))
    } catch {
      fatalError("the URL of a simulated PostgreSQL is refused: \(error.reason)")
    }
  }

  /// The promises that the tables of the services break, in a world whose faults have ended.
  static func breaches(in world: World, hasChat: Bool) -> [String] {
    do {
      return try world.perform(as: "database-check", within: .seconds(600)) { environment in
        let users = try await UserService.database.breaches(environment, on: servers)
        return hasChat ? users + (try await ChatService.database.breaches(environment, on: servers)) : users
      }
    } catch {
      return ["the database cannot be checked: \(error)"]
    }
  }
}
