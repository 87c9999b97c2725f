import Environment

/// A copy of all databases of a directory as they were at one moment, while services write them.
///
/// The moment is found as in an atomic snapshot of registers (Afek et al., "Atomic snapshots of
/// shared memory", JACM 1993): the ends of all logs are read again and again, until a whole round
/// finds no new commit. All ends were then current when that round began. So the copy is what a
/// power failure at that moment would have left, from which the services recover without losing or
/// repeating anything across their databases.
public enum DirectoryCopy {
  /// Attempts to copy a database whose log begins again.
  private static let attempts = 5
  /// Rounds in an attempt. Under load a round in a hundred finds a commit.
  private static let rounds = 100_000

  /// Copies those of the databases that exist to a directory that nobody else uses, and makes the
  /// copies durable.
  /// - Returns: The databases that were copied.
  public static func make(
    of wanted: [ServiceDatabase] = DataDirectory.databases, from source: any Storage, to destination: any Storage
  ) throws(CopyError) -> [ServiceDatabase] {
    let databases: [ServiceDatabase]
    do throws(StorageError) { databases = try DataDirectory.databases(in: source) } catch { throw .storage(error) }
    let paths = wanted.map(\.path)
    return try make(databases.filter { paths.contains($0.path) }, from: source, to: destination)
  }

  private static func make(
    _ databases: [ServiceDatabase], from source: any Storage, to destination: any Storage
  ) throws(CopyError) -> [ServiceDatabase] {
    for attempt in 1... {
      do throws(CopyError) {
        let copies = try follow(
          try databases.map { database throws(CopyError) in
            try DatabaseCopy(database.path, from: source, to: destination)
          })
        for copy in copies { try copy.finish() }
        break
      } catch .overtaken(let path) {
        if attempt == attempts { throw .overtaken(path) }
      }
    }
    do throws(StorageError) { try destination.syncDirectory() } catch { throw .storage(error) }
    return databases
  }

  /// Follows the logs until a whole round finds no commit.
  private static func follow(_ copies: [DatabaseCopy]) throws(CopyError) -> [DatabaseCopy] {
    for _ in 0..<rounds {
      var hasMoved = false
      for copy in copies where try copy.follow() { hasMoved = true }
      if !hasMoved { return copies }
    }
    throw .overtaken(copies.first?.path ?? "")
  }
}
