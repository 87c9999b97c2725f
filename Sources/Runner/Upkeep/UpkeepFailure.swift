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
    do { return try work() } catch { throw UpkeepFailure(error) }
  }

  /// Describes an error for an operator.
  init(_ error: any Error) {
    switch error {
    case let error as UpkeepFailure: self = error
    case CopyError.overtaken(let path): lines = ["\(path) changes too fast to be copied; try again"]
    case CopyError.storage(let error), let error as StorageError: lines = [ServeCommand.describe(error)]
    case let error as DirectoryView.NotFound: lines = [error.reason]
    case let error as DatabaseError: lines = [error.reason]
    case let error as AMQPError: lines = ["the broker refuses it: \(error.reason)"]
    case let error as NetworkError: lines = ["the service does not answer: \(error)"]
    default: lines = ["\(error)"]
    }
  }
}
