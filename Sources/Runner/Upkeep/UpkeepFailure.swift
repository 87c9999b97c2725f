import Environment
import System

/// A failure of a command over a data directory: the exit code is 1.
struct UpkeepFailure: Error {
  let lines: [String]

  init(_ lines: [String]) { self.lines = lines }

  /// Writes the lines to standard error. Returns the exit code.
  func report() -> Int32 {
    for line in lines { standardError("parley: \(line)") }
    return 1
  }

  /// Runs `work`, and converts the errors of disks and databases.
  static func converting<R>(_ work: () throws -> R) throws(UpkeepFailure) -> R {
    do {
      return try work()
    } catch let error as UpkeepFailure {
      throw error
    } catch CopyError.overtaken(let path) {
      throw UpkeepFailure(["\(path) changes too fast to be copied; try again"])
    } catch CopyError.storage(let error), let error as StorageError {
      throw UpkeepFailure([ServeCommand.describe(error)])
    } catch let error as DirectoryView.NotFound {
      throw UpkeepFailure([error.reason])
    } catch let error as DatabaseError {
      throw UpkeepFailure([error.reason])
    } catch {
      throw UpkeepFailure(["\(error)"])
    }
  }
}
