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
  /// Rows that another service has told are not compared with them if `isComparing` is false.
  static func breaches(in world: World, of nodes: [String], isComparing: Bool) -> [String] {
    // A service comes before those that tell it something.
    let services = [
      (Scenario.customersNode, CustomerServer.database), (Scenario.chatNode, ChatService.database),
      (Scenario.usersNode, UserService.database), (Scenario.managerNode, UserManager.database),
    ].filter { nodes.contains($0.0) }.map(\.1)
    do {
      return try world.perform(as: "database-check", within: .seconds(600)) { environment in
        try await DirectoryCheck.breaches(environment, of: services, on: servers, isComparing: isComparing)
      }
    } catch {
      return ["the database cannot be checked: \(error)"]
    }
  }
}
