import CSQLite
import System

/// Fixed work that measures the speed of the machine. The bounds of the benchmarks are scaled by
/// it, so that they hold on slower machines, too.
enum Reference {
  /// Returns the steps a second of a loop that hashes integers into a table, which is similar to
  /// the work of a scheduler step.
  static func hashing() -> Double {
    var table = [UInt64](repeating: 0, count: 4096)
    let steps = 100_000_000
    let took = ContinuousClock().measure {
      table.withUnsafeMutableBufferPointer { table in
        // In a register. A variable outside the closure would be in memory, and each step would
        // wait for the store of the one before: some processors hide that, others take ten times
        // as long for it, and a scheduler step does nothing of the kind.
        var state: UInt64 = 1
        for _ in 0..<steps {
          state &+= 0x9E37_79B9_7F4A_7C15
          var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
          mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
          table[Int(mixed >> 52)] ^= mixed
        }
      }
    }
    // Without a use of the result the compiler would remove the loop.
    guard table.reduce(0, ^) != 0 else { fatalError("the table is empty") }
    return Double(steps) / took.inSeconds
  }

  /// Returns the commits a second of one row to a database in memory, which is similar to the work
  /// of a simulated request.
  static func commits() -> Double {
    var database: OpaquePointer?
    guard sqlite3_open(":memory:", &database) == SQLITE_OK else { fatalError("cannot open SQLite") }
    defer { sqlite3_close(database) }
    func run(_ text: String) {
      guard sqlite3_exec(database, text, nil, nil, nil) == SQLITE_OK else { fatalError("SQLite refuses \(text)") }
    }
    run("CREATE TABLE rows (id INTEGER PRIMARY KEY, name TEXT UNIQUE, body TEXT)")
    let count = 20_000
    let took = ContinuousClock().measure {
      for number in 0..<count {
        run("BEGIN; INSERT INTO rows (name, body) VALUES ('name \(number)', 'a body of some length'); COMMIT")
      }
    }
    return Double(count) / took.inSeconds
  }

  /// Returns the best of several rounds.
  static func best(of rounds: Int = 5, _ work: () -> Double) -> Double {
    (0..<rounds).map { _ in work() }.max()!
  }
}
