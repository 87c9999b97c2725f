import Environment

/// The authenticated sender of a request.
public struct Principal: Sendable {
  /// The user: the token's `sub`.
  public let subject: String
  /// The login that issued the token.
  public let login: String
  /// The generation of the user's logins that the token belongs to. Revoking all logins of a user
  /// begins the next one.
  public let generation: Int64

  /// Makes a principal.
  public init(subject: String, login: String, generation: Int64) {
    self.subject = subject
    self.login = login
    self.generation = generation
  }
}

/// A request, as the handler of a route sees it.
public struct Call: Sendable {
  /// The request.
  public let request: HTTPRequest
  /// The other end of the connection.
  public let peer: SocketAddress
  /// The client: `peer`, or the address that a trusted proxy names. Limits by address use it.
  public let client: SocketAddress
  /// The authenticated sender, on routes that authenticate.
  public internal(set) var principal: Principal?
  /// The body, in the shape of the route's schema; `null` on routes without a body.
  public internal(set) var body: JSONValue = .null

  /// A string field of the body. The schema of the route guarantees that it exists.
  public func string(_ name: String) -> String { body[name]?.string ?? "" }

  /// The credentials of `Authorization: Bearer …` (RFC 6750 §2.1). The scheme is case-insensitive.
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

/// The answer of a handler.
public enum Reply: Sendable {
  /// A complete response.
  case response(HTTPResponse)
  /// A head, then bytes until the producer returns or the client leaves. The connection ends with
  /// the stream.
  case stream(HTTPResponse, @Sendable (StreamWriter) async throws -> Void)
  /// An answer that may take long, such as long polling. `gone` is called when the client leaves
  /// before the answer.
  case waiting(answer: @Sendable () async -> HTTPResponse, gone: @Sendable () async -> Void)
  /// A `101 Switching Protocols`. The closure then owns the connection, and gets the bytes that
  /// followed the request. The connection is closed when the closure returns.
  case upgrade(HTTPResponse, @Sendable (any Connection, [UInt8]) async throws -> Void)

  /// An answer with a JSON body.
  public static func json(_ value: JSONValue, status: Int = 200) -> Reply { json(body: value.bytes, status: status) }

  /// An answer with an encoded JSON body.
  static func json(body: [UInt8], status: Int = 200) -> Reply {
    .response(HTTPResponse(status: status, fields: jsonFields, body: body))
  }

  private static let jsonFields = [(name: "content-type", value: "application/json")]
}

/// The output of a stream's producer.
public struct StreamWriter: Sendable {
  let connection: any Connection
  let clock: any Clock
  let patience: Duration

  /// Writes `text`, and waits while the client does not read. Throws if that takes too long.
  public func write(_ text: String) async throws {
    try await connection.write(Array(text.utf8), deadline: clock.now + patience)
  }
}

/// An answer with an error status. `message` is sent to the client and contains no secrets.
public struct HTTPFailure: Error, Sendable {
  /// The HTTP status.
  public let status: Int
  /// The message for the client.
  public let message: String
  /// Additional header fields.
  public let fields: [(name: String, value: String)]

  /// Makes a failure.
  public init(_ status: Int, _ message: String, fields: [(name: String, value: String)] = []) {
    self.status = status
    self.message = message
    self.fields = fields
  }
}

/// A refusal by the rules of a service. The server sends its answer when a route throws it.
protocol HTTPRefusal: Error {
  /// The answer over HTTP.
  var failure: HTTPFailure { get }
}

/// The callers that a route admits.
public enum Access: Sendable {
  case anyone
  /// Holders of an access token.
  case user(@Sendable (Call) throws -> Principal)
  /// Other services: callers that show the service token, or call over loopback.
  case service
  /// Operators: callers that show the service token or the operators' token. Loopback gives no
  /// access.
  case operators

  /// Whether no web page may read the answers.
  package var excludesPages: Bool {
    switch self {
    case .anyone, .user: false
    case .service, .operators: true
    }
  }
}

/// One row of the route table, from which the server routes, validates and documents.
public struct Route: Sendable {
  /// The type of a handler.
  public typealias Handler = @Sendable (Call) async throws -> Reply

  package let method: String
  package let path: String
  let summary: String
  package let access: Access
  package let body: Schema?
  /// Whether a binary property list (`application/bytes`) is accepted in place of JSON.
  package let takesPropertyLists: Bool
  /// Arguments in the query, a form or a JSON body. The handler sees them as its body.
  package let arguments: [Schema.Field]?
  package let parameters: [Parameter]
  package let responses: [Response]
  let handler: Handler
  /// Whether requests are so frequent that they are logged at level `debug` only.
  var isQuiet = false
  /// A body for the documentation, if the example of the schema does not fit.
  var example: JSONValue?

  /// A possible response, for the documentation.
  public struct Response: Sendable {
    package let status: Int
    let summary: String
    package let schema: Schema?
    package let contentType: String

    /// A response with a JSON body. A nil `schema` stands for the error body of the service.
    public init(_ status: Int, _ summary: String, _ schema: Schema? = nil, contentType: String = "application/json") {
      self.status = status
      self.summary = summary
      self.schema = schema
      self.contentType = contentType
    }
  }

  /// A parameter in the query or a header field.
  public struct Parameter: Sendable {
    package let name: String
    package let location: String
    let summary: String
    package let schema: Schema
    var isRequired = false

    /// An optional header field of a request.
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

/// The name of a service and its error format.
public struct ServiceDescription: Sendable {
  /// The short name in logs and metrics.
  public let name: String
  /// The title of the documents.
  public let title: String
  /// Its version.
  public let version: String
  /// The body of an error, made from its message.
  public let errorBody: @Sendable (String) -> JSONValue
  /// The schema of that body.
  public let errorSchema: Schema
  /// The events and queue messages of the service.
  public let messages: [MessageTable]

  /// Makes a description.
  public init(
    name: String, title: String, version: String, errorSchema: Schema, messages: [MessageTable] = [],
    errorBody: @escaping @Sendable (String) -> JSONValue
  ) {
    self.name = name
    self.title = title
    self.version = version
    self.errorBody = errorBody
    self.errorSchema = errorSchema
    self.messages = messages
  }
}
