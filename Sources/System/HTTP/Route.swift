import Environment

/// Who makes a request, when the route asks for that.
public struct Principal: Sendable {
  /// The user, as the token's `sub` names it.
  public let subject: String
  /// The login that the token descends from.
  public let login: String

  /// Makes a principal.
  public init(subject: String, login: String) {
    self.subject = subject
    self.login = login
  }
}

/// One request, as a route's handler sees it.
public struct Call: Sendable {
  /// The request.
  public let request: HTTPRequest
  /// The other end of the connection.
  public let peer: SocketAddress
  /// Whose request it is: `peer`, or whom a trusted proxy names. What counts by address, counts by this one.
  public let client: SocketAddress
  /// Who makes it; set on routes that authenticate.
  public internal(set) var principal: Principal?
  /// The body, of the shape that the route asks for; `null` on routes without one.
  public internal(set) var body: JSONValue = .null

  /// A string field of the body; the route's schema says that it is there.
  public func string(_ name: String) -> String { body[name]?.string ?? "" }

  /// The credentials of `Authorization: Bearer …` (RFC 6750 §2.1); the scheme is case-insensitive.
  public var bearerToken: String? {
    guard let value = request.fields["authorization"] else { return nil }
    let bytes = value.utf8
    guard let space = bytes.firstIndex(of: 0x20), Substring(bytes[..<space]).lowercased() == "bearer" else {
      return nil
    }
    let token = bytes[space...].drop { $0 == 0x20 }
    return token.isEmpty ? nil : String(Substring(token))
  }
}

/// What a handler answers.
public enum Reply: Sendable {
  /// A whole response.
  case response(HTTPResponse)
  /// A head, then bytes until the producer returns or the client goes; the connection ends with it.
  case stream(HTTPResponse, @Sendable (StreamWriter) async throws -> Void)
  /// An answer that may take long, as long polling does. `gone` is called when the client goes away before it.
  case waiting(answer: @Sendable () async -> HTTPResponse, gone: @Sendable () async -> Void)
  /// The head of a `101 Switching Protocols`; then the connection is the closure's, with the bytes that came after the
  /// request. It is closed when the closure returns.
  case upgrade(HTTPResponse, @Sendable (any Connection, [UInt8]) async throws -> Void)

  /// A JSON body.
  public static func json(_ value: JSONValue, status: Int = 200) -> Reply { json(body: value.bytes, status: status) }

  /// A JSON body that is written already.
  static func json(body: [UInt8], status: Int = 200) -> Reply {
    .response(HTTPResponse(status: status, fields: jsonFields, body: body))
  }

  private static let jsonFields = [(name: "content-type", value: "application/json")]
}

/// Where the producer of a stream writes.
public struct StreamWriter: Sendable {
  let connection: any Connection
  let clock: any Clock
  let patience: Duration

  /// Writes; waits while the client does not read, and throws when it does not for too long.
  public func write(_ text: String) async throws {
    try await connection.write(Array(text.utf8), deadline: clock.now + patience)
  }
}

/// An answer that is not a success. `message` is for the client; it holds no secret.
public struct HTTPFailure: Error, Sendable {
  /// The status.
  public let status: Int
  /// What was wrong.
  public let message: String
  /// Further fields.
  public let fields: [(name: String, value: String)]

  /// Makes a failure.
  public init(_ status: Int, _ message: String, fields: [(name: String, value: String)] = []) {
    self.status = status
    self.message = message
    self.fields = fields
  }
}

/// Who may call a route.
public enum Access: Sendable {
  case anyone
  /// The holder of an access token.
  case user(@Sendable (Call) throws -> Principal)
  /// Another service: it shows the service token, or comes over loopback.
  case service
}

/// One row of the table that serves, validates and documents.
public struct Route: Sendable {
  /// The handler's type.
  public typealias Handler = @Sendable (Call) async throws -> Reply

  let method: String
  let path: String
  let summary: String
  let access: Access
  let body: Schema?
  /// Whether the body may be a binary property list (`application/bytes`) in place of JSON.
  let takesPropertyLists: Bool
  /// Arguments that come in the query, in a form or in a JSON body: the handler sees them as its body.
  let arguments: [Schema.Field]?
  let parameters: [Parameter]
  let responses: [Response]
  let handler: Handler
  /// Whether it is asked so often that its line in the log is for debugging alone.
  var isQuiet = false
  /// A body for the documentation, where the schema's own example would not do.
  var example: JSONValue?

  /// A possible answer, for the document.
  public struct Response: Sendable {
    let status: Int
    let summary: String
    let schema: Schema?
    let contentType: String

    /// An answer with a JSON body, or with `schema` nil the service's error body.
    public init(_ status: Int, _ summary: String, _ schema: Schema? = nil, contentType: String = "application/json") {
      self.status = status
      self.summary = summary
      self.schema = schema
      self.contentType = contentType
    }
  }

  /// A parameter in the query or a header, for the document.
  public struct Parameter: Sendable {
    let name: String
    let location: String
    let summary: String
    let schema: Schema
    var isRequired = false

    /// An optional request header.
    public static func header(_ name: String, _ schema: Schema, _ summary: String) -> Parameter {
      Parameter(name: name, location: "header", summary: summary, schema: schema)
    }
  }

  /// Makes a row.
  public init(
    _ method: String, _ path: String, _ summary: String, access: Access = .anyone, body: Schema? = nil,
    takesPropertyLists: Bool = false, arguments: [Schema.Field]? = nil, parameters: [Parameter] = [],
    responses: [Response], handler: @escaping Handler
  ) {
    self.method = method
    self.path = path
    self.summary = summary
    self.access = access
    self.body = body
    self.takesPropertyLists = takesPropertyLists
    self.arguments = arguments
    self.parameters = parameters
    self.responses = responses
    self.handler = handler
  }
}

/// What a service is called and how it speaks of errors.
public struct ServiceDescription: Sendable {
  /// The short name that logs and metrics use.
  public let name: String
  /// The title of its document.
  public let title: String
  /// Its version.
  public let version: String
  /// The body of an error, from its message.
  public let errorBody: @Sendable (String) -> JSONValue
  /// The shape of that body.
  public let errorSchema: Schema

  /// Makes a description.
  public init(
    name: String, title: String, version: String, errorSchema: Schema,
    errorBody: @escaping @Sendable (String) -> JSONValue
  ) {
    self.name = name
    self.title = title
    self.version = version
    self.errorBody = errorBody
    self.errorSchema = errorSchema
  }
}
