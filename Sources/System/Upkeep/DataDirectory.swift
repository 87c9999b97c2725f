import Environment

/// The files of a data directory.
public enum DataDirectory {
  /// The databases of the services.
  public static let databases = [
    UserService.database, ChatService.database, UserManager.database, CustomerServer.database, Broker.database,
  ]

  /// The other files that a service cannot make again.
  public static let otherFiles = [
    "jwt-secret", "parley.json5", "ServiceURLMapping.json", "tls-self-signed.crt", "tls-self-signed.key",
  ]

  /// The databases that are in a directory.
  public static func databases(in storage: any Storage) throws(StorageError) -> [ServiceDatabase] {
    var found: [ServiceDatabase] = []
    for database in databases where try storage.exists(database.path) { found.append(database) }
    return found
  }
}
