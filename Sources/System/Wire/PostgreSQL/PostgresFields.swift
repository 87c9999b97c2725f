/// The fields of an ErrorResponse or a NoticeResponse (PostgreSQL 15 documentation, §55.8).
public struct PostgresFields: Error, Hashable, Sendable {
  /// A field: its letter and its text.
  public struct Field: Hashable, Sendable {
    /// The ASCII letter of the field's type, such as `C` for the SQLSTATE.
    public let type: UInt8
    /// The text. Bytes that are not UTF-8 are replaced: a server that has not read the client's
    /// encoding yet writes in its own.
    public let text: String

    /// Creates a field.
    public init(_ type: Unicode.Scalar, _ text: String) {
      self.type = UInt8(ascii: type)
      self.text = text
    }

    fileprivate init(type: UInt8, text: String) {
      self.type = type
      self.text = text
    }
  }

  /// The most fields of a message. PostgreSQL 15 writes at most 18.
  static let maximumFields = 64

  /// All fields in the order of the wire, also those that this program does not know.
  public let fields: [Field]

  /// Creates fields, those of an error that the simulated server answers with.
  public init(severity: String = "ERROR", code: SQLState, message: String, _ more: [Field] = []) {
    fields = [Field("S", severity), Field("V", severity), Field("C", code.text), Field("M", message)] + more
  }

  init(_ reader: inout PostgresReader) throws(PostgresProtocolError) {
    var fields: [Field] = []
    while true {
      let type = try reader.number(UInt8.self)
      if type == 0 { break }
      guard fields.count < Self.maximumFields else { throw PostgresProtocolError("too many fields of an error") }
      fields.append(Field(type: type, text: String(decoding: try reader.terminated(), as: UTF8.self)))
    }
    self.fields = fields
  }

  func write(to writer: inout PostgresWriter) {
    for field in fields {
      writer.number(field.type)
      writer.text(field.text)
    }
    writer.number(UInt8(0))
  }

  /// The text of a field; nil if the message has none of this type.
  public subscript(type: Unicode.Scalar) -> String? { fields.first { $0.type == UInt8(ascii: type) }?.text }

  /// The SQLSTATE. A message without a valid one reads as an internal error.
  public var code: SQLState { self["C"].flatMap { SQLState($0) } ?? .internalError }
  /// `ERROR`, `FATAL`, `PANIC`, `WARNING`, `NOTICE`, `DEBUG`, `INFO` or `LOG`, never translated.
  public var severity: String { self["V"] ?? self["S"] ?? "ERROR" }
  /// Whether the server ends the connection after this message.
  public var endsConnection: Bool { severity == "FATAL" || severity == "PANIC" }
  /// The message for a person.
  public var message: String { self["M"] ?? "an error without a message" }
  /// The name of the constraint, if the error is about one.
  public var constraint: String? { self["n"] }
}

/// A code of five digits and upper-case letters for a condition (SQL standard; PostgreSQL 15
/// documentation, appendix A).
public struct SQLState: Hashable, Sendable {
  /// The five characters.
  public let text: String

  /// Creates a code; nil unless it is five digits and upper-case letters.
  public init?(_ text: String) {
    let isValid =
      text.utf8.count == 5 && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) }
    guard isValid else { return nil }
    self.text = text
  }

  private init(known text: String) { self.text = text }

  /// The first two characters: the class of the condition.
  public var category: Substring { text.prefix(2) }

  /// XX000.
  public static let internalError = SQLState(known: "XX000")
  /// 0A000.
  public static let featureNotSupported = SQLState(known: "0A000")
  /// 08P01.
  public static let protocolViolation = SQLState(known: "08P01")
  /// 22P02.
  public static let invalidTextRepresentation = SQLState(known: "22P02")
  /// 23502.
  public static let notNullViolation = SQLState(known: "23502")
  /// 23503.
  public static let foreignKeyViolation = SQLState(known: "23503")
  /// 23505.
  public static let uniqueViolation = SQLState(known: "23505")
  /// 25006.
  public static let readOnlyTransaction = SQLState(known: "25006")
  /// 25P02.
  public static let inFailedTransaction = SQLState(known: "25P02")
  /// 26000.
  public static let invalidStatementName = SQLState(known: "26000")
  /// 28000.
  public static let invalidAuthorization = SQLState(known: "28000")
  /// 28P01.
  public static let invalidPassword = SQLState(known: "28P01")
  /// 3D000.
  public static let invalidDatabaseName = SQLState(known: "3D000")
  /// 40001.
  public static let serializationFailure = SQLState(known: "40001")
  /// 40P01.
  public static let deadlockDetected = SQLState(known: "40P01")
  /// 42601.
  public static let syntaxError = SQLState(known: "42601")
  /// 42501.
  public static let insufficientPrivilege = SQLState(known: "42501")
  /// 42P01.
  public static let undefinedTable = SQLState(known: "42P01")
  /// 53100.
  public static let diskFull = SQLState(known: "53100")
  /// 53300.
  public static let tooManyConnections = SQLState(known: "53300")
  /// 55P03.
  public static let lockNotAvailable = SQLState(known: "55P03")
  /// 57014.
  public static let queryCanceled = SQLState(known: "57014")
  /// 57P01.
  public static let adminShutdown = SQLState(known: "57P01")
  /// 57P02.
  public static let crashShutdown = SQLState(known: "57P02")
  /// 57P03.
  public static let cannotConnectNow = SQLState(known: "57P03")
}
