/// A message from the server to the client (PostgreSQL 15 documentation, §55.7).
public enum PostgresBackendMessage: Hashable, Sendable {
  /// A demand for authentication, or the end of it.
  public enum Authentication: Hashable, Sendable {
    case ok
    case cleartextPassword
    /// MD5 of a password, with four bytes of salt.
    case md5Password(salt: [UInt8])
    /// The mechanisms that the server accepts, the best one first.
    case sasl([String])
    case saslContinue([UInt8])
    case saslFinal([UInt8])
    /// Kerberos, GSSAPI, SSPI and others, with the number of the method and its data.
    case other(UInt32, [UInt8])
  }

  /// The state of the transaction after a Sync.
  public enum TransactionStatus: UInt8, Hashable, Sendable {
    /// No transaction is open: `I`.
    case idle = 0x49
    /// A transaction is open: `T`.
    case open = 0x54
    /// A transaction is open, and a statement of it has failed: `E`.
    case failed = 0x45
  }

  case authentication(Authentication)
  /// The values that a CancelRequest has to show.
  case backendKey(process: Int32, key: [UInt8])
  case parameterStatus(PostgresParameter)
  case readyForQuery(TransactionStatus)
  case parameterDescription([UInt32])
  case rowDescription([PostgresColumn])
  case noData
  case dataRow(PostgresRow)
  /// The end of a statement, with its tag, such as `INSERT 0 1`.
  case commandComplete(String)
  case emptyQuery
  case portalSuspended
  case parseComplete
  case bindComplete
  case closeComplete
  case error(PostgresFields)
  case notice(PostgresFields)
  case notification(process: Int32, channel: String, payload: String)
  /// The newest minor version that the server speaks, and the options that it does not know.
  case negotiateProtocolVersion(UInt32, unknown: [String])
  /// The start of COPY: `G` to the server, `H` from it, `W` both ways.
  case copy(UInt8, isBinary: Bool, formats: [Int16])
  case copyData([UInt8])
  case copyDone

  /// Reads a message. `payload` is what follows the length.
  init(type: UInt8, payload: ArraySlice<UInt8>) throws(PostgresProtocolError) {
    var reader = PostgresReader(payload)
    switch type {
    case UInt8(ascii: "D"): self = .dataRow(try PostgresRow(&reader))
    case UInt8(ascii: "C"): self = .commandComplete(try reader.text())
    case UInt8(ascii: "Z"):
      guard let status = TransactionStatus(rawValue: try reader.number()) else {
        throw PostgresProtocolError("an unknown state of a transaction")
      }
      self = .readyForQuery(status)
    case UInt8(ascii: "1"): self = .parseComplete
    case UInt8(ascii: "2"): self = .bindComplete
    case UInt8(ascii: "3"): self = .closeComplete
    case UInt8(ascii: "t"): self = .parameterDescription(try reader.numbers(UInt32.self))
    case UInt8(ascii: "T"):
      // A column has a name of at least its end and 18 bytes of numbers.
      var columns: [PostgresColumn] = []
      for _ in 0..<(try reader.count(Int16.self, of: 19)) { columns.append(try PostgresColumn(&reader)) }
      self = .rowDescription(columns)
    case UInt8(ascii: "n"): self = .noData
    case UInt8(ascii: "I"): self = .emptyQuery
    case UInt8(ascii: "s"): self = .portalSuspended
    case UInt8(ascii: "E"): self = .error(try PostgresFields(&reader))
    case UInt8(ascii: "N"): self = .notice(try PostgresFields(&reader))
    case UInt8(ascii: "A"):
      self = .notification(process: try reader.number(), channel: try reader.text(), payload: try reader.text())
    case UInt8(ascii: "S"): self = .parameterStatus(PostgresParameter(try reader.text(), try reader.text()))
    case UInt8(ascii: "K"):
      let process = try reader.number(Int32.self)
      // Protocol 3.2 has keys of up to 256 bytes.
      guard (4...256).contains(reader.left) else { throw PostgresProtocolError("a wrong length of a key") }
      self = .backendKey(process: process, key: Array(reader.rest()))
    case UInt8(ascii: "R"): self = .authentication(try Authentication(&reader))
    case UInt8(ascii: "v"):
      let version = try reader.number(UInt32.self)
      var unknown: [String] = []
      for _ in 0..<(try reader.count(Int32.self, of: 1)) { unknown.append(try reader.text()) }
      self = .negotiateProtocolVersion(version, unknown: unknown)
    case UInt8(ascii: "G"), UInt8(ascii: "H"), UInt8(ascii: "W"):
      let format = try reader.number(UInt8.self)
      guard format < 2 else { throw PostgresProtocolError("an unknown format of COPY") }
      self = .copy(type, isBinary: format == 1, formats: try reader.numbers(Int16.self))
    case UInt8(ascii: "d"): self = .copyData(Array(reader.rest()))
    case UInt8(ascii: "c"): self = .copyDone
    default: throw PostgresProtocolError("an unknown message type \(type)")
    }
    try reader.end()
  }

  /// Appends the bytes of the message.
  public func write(to output: inout [UInt8]) {
    switch self {
    case .authentication(let demand): PostgresWriter.message("R", to: &output) { demand.write(to: &$0) }
    case .backendKey(let process, let key):
      PostgresWriter.message("K", to: &output) {
        $0.number(process)
        $0.raw(key)
      }
    case .parameterStatus(let parameter):
      PostgresWriter.message("S", to: &output) {
        $0.text(parameter.name)
        $0.text(parameter.value)
      }
    case .readyForQuery(let status): PostgresWriter.message("Z", to: &output) { $0.number(status.rawValue) }
    case .parameterDescription(let types): PostgresWriter.message("t", to: &output) { $0.numbers(types) }
    case .rowDescription(let columns):
      PostgresWriter.message("T", to: &output) {
        $0.number(Int16(columns.count))
        for column in columns { column.write(to: &$0) }
      }
    case .noData: PostgresWriter.message("n", to: &output) { _ in }
    case .dataRow(let row): PostgresWriter.message("D", to: &output) { row.write(to: &$0) }
    case .commandComplete(let tag): PostgresWriter.message("C", to: &output) { $0.text(tag) }
    case .emptyQuery: PostgresWriter.message("I", to: &output) { _ in }
    case .portalSuspended: PostgresWriter.message("s", to: &output) { _ in }
    case .parseComplete: PostgresWriter.message("1", to: &output) { _ in }
    case .bindComplete: PostgresWriter.message("2", to: &output) { _ in }
    case .closeComplete: PostgresWriter.message("3", to: &output) { _ in }
    case .error(let fields): PostgresWriter.message("E", to: &output) { fields.write(to: &$0) }
    case .notice(let fields): PostgresWriter.message("N", to: &output) { fields.write(to: &$0) }
    case .notification(let process, let channel, let payload):
      PostgresWriter.message("A", to: &output) {
        $0.number(process)
        $0.text(channel)
        $0.text(payload)
      }
    case .negotiateProtocolVersion(let version, let unknown):
      PostgresWriter.message("v", to: &output) {
        $0.number(version)
        $0.number(Int32(unknown.count))
        for name in unknown { $0.text(name) }
      }
    case .copy(let type, let isBinary, let formats):
      PostgresWriter.message(Unicode.Scalar(type), to: &output) {
        $0.number(UInt8(isBinary ? 1 : 0))
        $0.numbers(formats)
      }
    case .copyData(let bytes): PostgresWriter.message("d", to: &output) { $0.raw(bytes) }
    case .copyDone: PostgresWriter.message("c", to: &output) { _ in }
    }
  }
}

extension PostgresBackendMessage.Authentication {
  /// The most mechanisms of SASL. PostgreSQL 15 offers two.
  private static let maximumMechanisms = 16

  fileprivate init(_ reader: inout PostgresReader) throws(PostgresProtocolError) {
    switch try reader.number(UInt32.self) {
    case 0: self = .ok
    case 3: self = .cleartextPassword
    case 5: self = .md5Password(salt: Array(try reader.take(4)))
    case 10:
      var mechanisms: [String] = []
      while case let name = try reader.text(), !name.isEmpty {
        guard mechanisms.count < Self.maximumMechanisms else { throw PostgresProtocolError("too many mechanisms") }
        mechanisms.append(name)
      }
      self = .sasl(mechanisms)
    case 11: self = .saslContinue(Array(reader.rest()))
    case 12: self = .saslFinal(Array(reader.rest()))
    case let method: self = .other(method, Array(reader.rest()))
    }
  }

  fileprivate func write(to writer: inout PostgresWriter) {
    switch self {
    case .ok: writer.number(UInt32(0))
    case .cleartextPassword: writer.number(UInt32(3))
    case .md5Password(let salt):
      writer.number(UInt32(5))
      writer.raw(salt)
    case .sasl(let mechanisms):
      writer.number(UInt32(10))
      for name in mechanisms { writer.text(name) }
      writer.number(UInt8(0))
    case .saslContinue(let data):
      writer.number(UInt32(11))
      writer.raw(data)
    case .saslFinal(let data):
      writer.number(UInt32(12))
      writer.raw(data)
    case .other(let method, let data):
      writer.number(method)
      writer.raw(data)
    }
  }
}
