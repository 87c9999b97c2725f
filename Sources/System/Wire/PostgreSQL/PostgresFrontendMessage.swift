/// A message from the client to the server (PostgreSQL 15 documentation, §55.7).
public enum PostgresFrontendMessage: Hashable, Sendable {
  /// The values and formats of a Bind.
  public struct Binding: Hashable, Sendable {
    /// The portal; empty for the unnamed one.
    public var portal = ""
    /// The prepared statement; empty for the unnamed one.
    public var statement: String
    /// The format of each value; one for all, or none for text.
    public var formats: [Int16]
    /// The values. Nil stands for NULL.
    public var values: [[UInt8]?]
    /// The format of each column of the result; one for all, or none for text.
    public var resultFormats: [Int16]

    /// Creates a binding to the unnamed portal.
    public init(statement: String, formats: [Int16], values: [[UInt8]?], resultFormats: [Int16]) {
      self.statement = statement
      self.formats = formats
      self.values = values
      self.resultFormats = resultFormats
    }
  }

  /// The object of a Describe or a Close.
  public enum Target: Hashable, Sendable {
    case statement(String)
    case portal(String)
  }

  /// StartupMessage of protocol 3: the user, the database and settings. `minor` is 0 for 3.0.
  case startup(minor: UInt16, [PostgresParameter])
  /// Asks for TLS. The server answers with one byte, `S` or `N`.
  case sslRequest
  /// Asks for GSSAPI encryption. The server answers with one byte, `G` or `N`.
  case gssRequest
  /// Asks the server, on a connection of its own, to stop what another connection runs.
  case cancel(process: Int32, key: [UInt8])
  /// The answer to a demand for authentication: a password, or a message of SASL
  /// (`PostgresSASL`).
  case authentication([UInt8])
  /// A simple query of any number of statements.
  case query(String)
  case parse(statement: String, sql: String, types: [UInt32])
  case bind(Binding)
  case describe(Target)
  /// Returns at most `rows` rows; 0 for all.
  case execute(portal: String, rows: Int32)
  case close(Target)
  case sync
  case flush
  case terminate
  case copyData([UInt8])
  case copyDone
  case copyFail(String)

  /// Codes in the place of a version (§55.2.10, `pqcomm.h`).
  static let cancelCode: UInt32 = 1234 << 16 | 5678
  static let sslCode: UInt32 = 1234 << 16 | 5679
  static let gssCode: UInt32 = 1234 << 16 | 5680

  /// The most parameters of a start-up. PostgreSQL bounds the packet only.
  static let maximumParameters = 200

  /// Reads a packet without a type, as connections begin. `payload` is what follows the length.
  init(startup payload: ArraySlice<UInt8>) throws(PostgresProtocolError) {
    var reader = PostgresReader(payload)
    switch try reader.number(UInt32.self) {
    case Self.sslCode: self = .sslRequest
    case Self.gssCode: self = .gssRequest
    case Self.cancelCode:
      let process = try reader.number(Int32.self)
      // Protocol 3.2 has keys of up to 256 bytes.
      guard (4...256).contains(reader.left) else { throw PostgresProtocolError("a wrong length of a key") }
      self = .cancel(process: process, key: Array(reader.rest()))
    case let version where version >> 16 == 3:
      var parameters: [PostgresParameter] = []
      while case let name = try reader.text(), !name.isEmpty {
        guard parameters.count < Self.maximumParameters else { throw PostgresProtocolError("too many parameters") }
        parameters.append(PostgresParameter(name, try reader.text()))
      }
      self = .startup(minor: UInt16(truncatingIfNeeded: version), parameters)
    case let version: throw PostgresProtocolError("protocol \(version >> 16).\(version & 0xFFFF)")
    }
    try reader.end()
  }

  /// Reads a message with a type. `payload` is what follows the length.
  init(type: UInt8, payload: ArraySlice<UInt8>) throws(PostgresProtocolError) {
    var reader = PostgresReader(payload)
    switch type {
    case UInt8(ascii: "p"): self = .authentication(Array(reader.rest()))
    case UInt8(ascii: "Q"): self = .query(try reader.text())
    case UInt8(ascii: "P"):
      self = .parse(statement: try reader.text(), sql: try reader.text(), types: try reader.numbers(UInt32.self))
    case UInt8(ascii: "B"): self = .bind(try Binding(&reader))
    case UInt8(ascii: "D"): self = .describe(try Target(&reader))
    case UInt8(ascii: "C"): self = .close(try Target(&reader))
    case UInt8(ascii: "E"): self = .execute(portal: try reader.text(), rows: try reader.number())
    case UInt8(ascii: "S"): self = .sync
    case UInt8(ascii: "H"): self = .flush
    case UInt8(ascii: "X"): self = .terminate
    case UInt8(ascii: "d"): self = .copyData(Array(reader.rest()))
    case UInt8(ascii: "c"): self = .copyDone
    case UInt8(ascii: "f"): self = .copyFail(try reader.text())
    default: throw PostgresProtocolError("an unknown message type \(type)")
    }
    try reader.end()
  }

  /// Appends the bytes of the message.
  public func write(to output: inout [UInt8]) {
    switch self {
    case .startup(let minor, let parameters):
      PostgresWriter.message(nil, to: &output) {
        $0.number(3 << 16 | UInt32(minor))
        for parameter in parameters {
          $0.text(parameter.name)
          $0.text(parameter.value)
        }
        $0.number(UInt8(0))
      }
    case .sslRequest: PostgresWriter.message(nil, to: &output) { $0.number(Self.sslCode) }
    case .gssRequest: PostgresWriter.message(nil, to: &output) { $0.number(Self.gssCode) }
    case .cancel(let process, let key):
      PostgresWriter.message(nil, to: &output) {
        $0.number(Self.cancelCode)
        $0.number(process)
        $0.raw(key)
      }
    case .authentication(let bytes): PostgresWriter.message("p", to: &output) { $0.raw(bytes) }
    case .query(let sql): PostgresWriter.message("Q", to: &output) { $0.text(sql) }
    case .parse(let statement, let sql, let types):
      PostgresWriter.message("P", to: &output) {
        $0.text(statement)
        $0.text(sql)
        $0.numbers(types)
      }
    case .bind(let binding): PostgresWriter.message("B", to: &output) { binding.write(to: &$0) }
    case .describe(let target): PostgresWriter.message("D", to: &output) { target.write(to: &$0) }
    case .close(let target): PostgresWriter.message("C", to: &output) { target.write(to: &$0) }
    case .execute(let portal, let rows):
      PostgresWriter.message("E", to: &output) {
        $0.text(portal)
        $0.number(rows)
      }
    case .sync: PostgresWriter.message("S", to: &output) { _ in }
    case .flush: PostgresWriter.message("H", to: &output) { _ in }
    case .terminate: PostgresWriter.message("X", to: &output) { _ in }
    case .copyData(let bytes): PostgresWriter.message("d", to: &output) { $0.raw(bytes) }
    case .copyDone: PostgresWriter.message("c", to: &output) { _ in }
    case .copyFail(let reason): PostgresWriter.message("f", to: &output) { $0.text(reason) }
    }
  }
}

extension PostgresFrontendMessage.Binding {
  fileprivate init(_ reader: inout PostgresReader) throws(PostgresProtocolError) {
    portal = try reader.text()
    statement = try reader.text()
    formats = try reader.numbers(Int16.self)
    values = []
    for _ in 0..<(try reader.count(Int16.self, of: 4)) { values.append(try reader.value()) }
    resultFormats = try reader.numbers(Int16.self)
    guard (formats + resultFormats).allSatisfy({ PostgresFormat(rawValue: $0) != nil }) else {
      throw PostgresProtocolError("an unknown format of a value")
    }
    guard formats.count <= 1 || formats.count == values.count else {
      throw PostgresProtocolError("\(formats.count) formats for \(values.count) values")
    }
  }

  fileprivate func write(to writer: inout PostgresWriter) {
    writer.text(portal)
    writer.text(statement)
    writer.numbers(formats)
    writer.number(Int16(values.count))
    for value in values { writer.value(value) }
    writer.numbers(resultFormats)
  }
}

extension PostgresFrontendMessage.Target {
  fileprivate init(_ reader: inout PostgresReader) throws(PostgresProtocolError) {
    switch try reader.number(UInt8.self) {
    case UInt8(ascii: "S"): self = .statement(try reader.text())
    case UInt8(ascii: "P"): self = .portal(try reader.text())
    case let type: throw PostgresProtocolError("an unknown object type \(type)")
    }
  }

  fileprivate func write(to writer: inout PostgresWriter) {
    switch self {
    case .statement(let name):
      writer.number(UInt8(ascii: "S"))
      writer.text(name)
    case .portal(let name):
      writer.number(UInt8(ascii: "P"))
      writer.text(name)
    }
  }
}
