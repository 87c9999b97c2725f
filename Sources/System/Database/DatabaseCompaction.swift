import Environment

extension ServiceDatabase {
  /// Writes the database again without its free pages. Nobody else may use it.
  ///
  /// A crash leaves the old file or the new one: the new file is complete and synced before it
  /// takes the name. Returns the sizes in bytes before and after.
  public func compact(in storage: any Storage) throws(DatabaseError) -> (before: Int64, after: Int64) {
    let copy = path + ".compact"
    try DatabaseFile.asDatabaseError { () throws(StorageError) in
      if try storage.exists(copy) { try storage.remove(copy) }
    }
    let connection = try SQLConnection(path: path, vfs: StorageVFS(storage), synchronous: true)
    // The lock is held until the file has its new name.
    try connection.moveLog()
    try connection.execute("VACUUM INTO $1", .text(copy))
    return try DatabaseFile.asDatabaseError { () throws(StorageError) in
      let sizes = (before: try Self.size(of: path, in: storage), after: try Self.syncedSize(of: copy, in: storage))
      try storage.rename(copy, to: path)
      try storage.syncDirectory()
      return sizes
    }
  }

  private static func size(of path: String, in storage: any Storage) throws(StorageError) -> Int64 {
    let file = try storage.open(path, create: false)
    defer { file.close() }
    return try file.size()
  }

  private static func syncedSize(of path: String, in storage: any Storage) throws(StorageError) -> Int64 {
    let file = try storage.open(path, create: false)
    defer { file.close() }
    try file.sync()
    return try file.size()
  }
}
