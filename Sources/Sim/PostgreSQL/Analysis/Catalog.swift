/// A column of a table.
struct Column: Sendable {
  var name: String
  var type: DeclaredType
  var isNotNull: Bool
  var isIdentity: Bool
  var isAlwaysIdentity: Bool
  var defaultValue: SQLExpression?
}

/// An index. Only unique ones have a meaning beyond speed.
struct Index: Sendable {
  var name: String
  var columns: [Int]
  var isUnique: Bool
  var isPrimary = false
  var isConstraint = false
  var predicate: SQLExpression?
}

struct ForeignKey: Sendable {
  var name: String
  var columns: [Int]
  var parent: String
  var parentColumns: [Int]
  var cascades: Bool
}

struct Check: Sendable {
  var name: String
  var condition: SQLExpression
}

struct Trigger: Sendable {
  var name: String
  var events: [String]
  /// For UPDATE OF; empty for all columns.
  var columns: [Int]
  var function: String
}

struct Table: Sendable {
  let id: Int
  var name: String
  var columns: [Column]
  /// In the order of their creation, in which PostgreSQL checks them.
  var indexes: [Index] = []
  var foreignKeys: [ForeignKey] = []
  var checks: [Check] = []
  /// In the order of their names, in which they fire.
  var triggers: [Trigger] = []

  func position(of column: String) throws(ServerError) -> Int {
    guard let position = columns.firstIndex(where: { $0.name == column }) else {
      throw ServerError("42703", "column \"\(column)\" of relation \"\(name)\" does not exist")
    }
    return position
  }

  /// The columns of unique indexes that a foreign key could refer to. An update of one of them
  /// locks the row more strongly.
  var keyColumns: Set<Int> { Set(indexes.filter { $0.isUnique && $0.predicate == nil }.flatMap(\.columns)) }
  /// The columns of all indexes, and of their predicates.
  var indexedColumns: Set<Int> { Set(indexes.flatMap(\.columns)) }
}

/// The tables and functions of a database.
struct Catalog: Sendable {
  /// Rises with each change, so that plans are made anew.
  private(set) var version = 0
  private var tables: [String: Table] = [:]
  /// In order of creation.
  private(set) var tableNames: [String] = []
  private(set) var functions: [String: [TriggerStep]] = [:]
  private var lastID = 16383

  func table(_ name: String) throws(ServerError) -> Table {
    guard let table = tables[name] else { throw ServerError("42P01", "relation \"\(name)\" does not exist") }
    return table
  }

  func find(_ name: String) -> Table? { tables[name] }

  /// The tables that have foreign keys to `parent`, in order of creation.
  func children(of parent: String) -> [Table] {
    tableNames.compactMap { tables[$0] }.filter { $0.foreignKeys.contains { $0.parent == parent } }
  }

  private func requireFree(_ name: String) throws(ServerError) {
    let isTaken = tables[name] != nil || tableNames.contains { tables[$0]!.indexes.contains { $0.name == name } }
    if isTaken { throw ServerError("42P07", "relation \"\(name)\" already exists") }
  }

  mutating func create(
    _ name: String, _ definitions: [SQLColumnDefinition], _ constraints: [SQLConstraint]
  ) throws(ServerError) {
    try requireFree(name)
    lastID += 1
    var table = Table(id: lastID, name: name, columns: definitions.map(Self.column))
    for constraint in constraints.sorted(by: { $0.rank < $1.rank }) {
      switch constraint {
      case .unique(let given, let columns, let isPrimary):
        var positions: [Int] = []
        for column in columns { positions.append(try table.position(of: column)) }
        if isPrimary { for position in positions { table.columns[position].isNotNull = true } }
        let name = given ?? (isPrimary ? "\(name)_pkey" : "\(name)_\(columns.joined(separator: "_"))_key")
        table.indexes.append(
          Index(name: name, columns: positions, isUnique: true, isPrimary: isPrimary, isConstraint: true))
      case .foreign(let given, let columns, let parent, let keys, let cascades):
        let parentTable = parent == name ? table : try self.table(parent)
        var positions: [Int] = []
        for column in columns { positions.append(try table.position(of: column)) }
        var parentPositions: [Int] = []
        for key in keys { parentPositions.append(try parentTable.position(of: key)) }
        if keys.isEmpty { parentPositions = parentTable.indexes.first { $0.isPrimary }?.columns ?? [] }
        guard parentTable.indexes.contains(where: { $0.isUnique && $0.columns == parentPositions }) else {
          throw ServerError("42830", "there is no unique constraint matching given keys for \"\(parent)\"")
        }
        table.foreignKeys.append(
          ForeignKey(
            name: given ?? "\(name)_\(columns.joined(separator: "_"))_fkey", columns: positions, parent: parent,
            parentColumns: parentPositions, cascades: cascades))
      case .check(let given, let condition, let column):
        let stem = column.map { "\(name)_\($0)_check" } ?? "\(name)_check"
        table.checks.append(Check(name: given ?? stem, condition: condition))
      }
    }
    // Checks run in the order of their names.
    table.checks.sort { $0.name < $1.name }
    tables[name] = table
    tableNames.append(name)
    version += 1
  }

  private static func column(_ definition: SQLColumnDefinition) -> Column {
    Column(
      name: definition.name, type: definition.type, isNotNull: definition.isNotNull,
      isIdentity: definition.isIdentity, isAlwaysIdentity: definition.isAlwaysIdentity,
      defaultValue: definition.defaultValue)
  }

  mutating func add(_ index: Index, to table: String) throws(ServerError) {
    try requireFree(index.name)
    tables[table]!.indexes.append(index)
    version += 1
  }

  mutating func add(_ definition: SQLColumnDefinition, to table: String) throws(ServerError) {
    guard !tables[table]!.columns.contains(where: { $0.name == definition.name }) else {
      throw ServerError("42701", "column \"\(definition.name)\" of relation \"\(table)\" already exists")
    }
    tables[table]!.columns.append(Self.column(definition))
    version += 1
  }

  /// Removes an index. Returns whether there was one.
  mutating func removeIndex(_ name: String) -> Bool {
    for table in tableNames {
      guard let position = tables[table]!.indexes.firstIndex(where: { $0.name == name }) else { continue }
      tables[table]!.indexes.remove(at: position)
      version += 1
      return true
    }
    return false
  }

  mutating func removeTable(_ name: String) throws(ServerError) {
    if children(of: name).contains(where: { $0.name != name }) {
      throw ServerError("2BP01", "cannot drop table \(name) because other objects depend on it")
    }
    tables[name] = nil
    tableNames.removeAll { $0 == name }
    version += 1
  }

  mutating func add(_ function: String, _ steps: [TriggerStep], orReplace: Bool) throws(ServerError) {
    if functions[function] != nil, !orReplace {
      throw ServerError("42723", "function \"\(function)\" already exists with same argument types")
    }
    functions[function] = steps
    version += 1
  }

  /// Removes a function. Returns whether there was one.
  mutating func removeFunction(_ name: String) throws(ServerError) -> Bool {
    if tableNames.contains(where: { tables[$0]!.triggers.contains { $0.function == name } }) {
      throw ServerError("2BP01", "cannot drop function \(name)() because other objects depend on it")
    }
    version += 1
    return functions.removeValue(forKey: name) != nil
  }

  mutating func add(_ trigger: Trigger, to table: String) throws(ServerError) {
    guard functions[trigger.function] != nil else {
      throw ServerError("42883", "function \(trigger.function)() does not exist")
    }
    guard !tables[table]!.triggers.contains(where: { $0.name == trigger.name }) else {
      throw ServerError("42710", "trigger \"\(trigger.name)\" for relation \"\(table)\" already exists")
    }
    tables[table]!.triggers.append(trigger)
    tables[table]!.triggers.sort { $0.name < $1.name }
    version += 1
  }

  /// Removes a trigger. Returns whether there was one.
  mutating func removeTrigger(_ name: String, from table: String) -> Bool {
    let count = tables[table]!.triggers.count
    tables[table]!.triggers.removeAll { $0.name == name }
    version += 1
    return tables[table]!.triggers.count < count
  }
}

extension SQLConstraint {
  /// The primary key is made first, then other unique indexes.
  fileprivate var rank: Int {
    switch self {
    case .unique(_, _, let isPrimary): isPrimary ? 0 : 1
    case .check: 2
    case .foreign: 3
    }
  }
}
