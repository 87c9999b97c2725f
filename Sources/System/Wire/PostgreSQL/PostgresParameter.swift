/// A name and its value: a parameter of the start-up or a setting that the server reports.
public struct PostgresParameter: Hashable, Sendable {
  /// The name, such as `application_name`.
  public let name: String
  /// The value.
  public let value: String

  /// Creates a parameter. Neither text may have a zero byte.
  public init(_ name: String, _ value: String) {
    self.name = name
    self.value = value
  }
}

/// The form of a value on the wire.
public enum PostgresFormat: Int16, Hashable, Sendable {
  /// The form of `psql`.
  case text = 0
  /// The form of the type's `send` function.
  case binary = 1
}

/// The object identifier of a type (`pg_type.dat`).
public struct PostgresType: Hashable, Sendable {
  /// The number.
  public let oid: UInt32

  /// Creates an identifier.
  public init(_ oid: UInt32) { self.oid = oid }

  /// Not stated: the server infers the type.
  public static let unspecified = PostgresType(0)
  /// `bool`.
  public static let bool = PostgresType(16)
  /// `bytea`.
  public static let bytea = PostgresType(17)
  /// `name`.
  public static let name = PostgresType(19)
  /// `int8`, `bigint`.
  public static let int8 = PostgresType(20)
  /// `int2`, `smallint`.
  public static let int2 = PostgresType(21)
  /// `int4`, `integer`.
  public static let int4 = PostgresType(23)
  /// `text`.
  public static let text = PostgresType(25)
  /// `bpchar`, `character(n)`.
  public static let bpchar = PostgresType(1042)
  /// `varchar`.
  public static let varchar = PostgresType(1043)
  /// `timestamp` without a time zone.
  public static let timestamp = PostgresType(1114)
  /// `timestamptz`.
  public static let timestamptz = PostgresType(1184)
  /// `uuid`.
  public static let uuid = PostgresType(2950)
}

/// A column of a RowDescription.
public struct PostgresColumn: Hashable, Sendable {
  /// The name of the column.
  public var name: String
  /// The type of its values.
  public var type: PostgresType
  /// The form of its values.
  public var format: PostgresFormat
  /// The table of the column, or 0.
  public var table: UInt32 = 0
  /// The number of the column in its table, or 0.
  public var number: Int16 = 0
  /// The size of the type, negative for types of variable size.
  public var size: Int16 = -1
  /// The type's modifier, such as the length of a `varchar`, or -1.
  public var modifier: Int32 = -1

  /// Creates a column.
  public init(_ name: String, _ type: PostgresType, _ format: PostgresFormat = .text) {
    self.name = name
    self.type = type
    self.format = format
  }

  init(_ reader: inout PostgresReader) throws(PostgresProtocolError) {
    name = try reader.text()
    table = try reader.number()
    number = try reader.number()
    type = PostgresType(try reader.number())
    size = try reader.number()
    modifier = try reader.number()
    guard let format = PostgresFormat(rawValue: try reader.number()) else {
      throw PostgresProtocolError("an unknown format of a column")
    }
    self.format = format
  }

  func write(to writer: inout PostgresWriter) {
    writer.text(name)
    writer.number(table)
    writer.number(number)
    writer.number(type.oid)
    writer.number(size)
    writer.number(modifier)
    writer.number(format.rawValue)
  }
}

/// The values of a DataRow, in the order of the columns.
public struct PostgresRow: Hashable, Sendable {
  /// The fields of the message after the count: for each value its length and its bytes.
  private let bytes: [UInt8]
  /// Where the length of each value begins.
  private let places: [Int32]

  /// Creates a row. Nil stands for NULL.
  public init(_ values: [[UInt8]?]) {
    var output: [UInt8] = []
    var writer = PostgresWriter(taking: &output)
    var places: [Int32] = []
    for value in values {
      places.append(Int32(writer.bytes.count))
      writer.value(value)
    }
    bytes = writer.bytes
    self.places = places
  }

  init(_ reader: inout PostgresReader) throws(PostgresProtocolError) {
    let count = try reader.count(Int16.self, of: 4)
    let all = reader.left
    var rest = reader
    var places: [Int32] = []
    places.reserveCapacity(count)
    for _ in 0..<count {
      places.append(Int32(all - rest.left))
      let length = Int(try rest.number(Int32.self))
      if length != -1 { _ = try rest.take(length) }
    }
    bytes = Array(try reader.take(all - rest.left))
    self.places = places
  }

  func write(to writer: inout PostgresWriter) {
    writer.number(Int16(places.count))
    writer.raw(bytes)
  }

  /// The number of values.
  public var count: Int { places.count }
  /// The number of bytes that the row holds.
  var size: Int { bytes.count }

  /// The bytes of a value; nil if it is NULL or the row has no such column.
  public subscript(column: Int) -> ArraySlice<UInt8>? {
    guard places.indices.contains(column) else { return nil }
    let place = Int(places[column])
    let length = (0..<4).reduce(Int32(0)) { $0 << 8 | Int32(bytes[place + $1]) }
    return length < 0 ? nil : bytes[place + 4..<place + 4 + Int(length)]
  }
}
