import Environment

/// The reason why a transaction on a PostgreSQL server did not go on.
enum PostgresFailure: Error {
  /// The server refused a statement or the connection.
  case server(PostgresFields)
  /// The connection ended, or cannot be used any more.
  case lost(String)
  /// This program refuses the server.
  case refused(String)
  /// The connection could not be encrypted, or the server has not proved who it is.
  case insecure(String)
  /// The caller was cancelled, or the node is down.
  case stopped(any Error)

  init(_ error: any Error) {
    self =
      switch error {
      case let failure as PostgresFailure: failure
      case let fields as PostgresFields: .server(fields)
      case let refusal as PostgresRefusal: .refused(refusal.reason)
      case let error as PostgresProtocolError: .lost("protocol error: \(error.reason)")
      case NetworkError.insecure(let why): .insecure(why)
      case NetworkError.timedOut: .lost("the server does not answer")
      case NetworkError.closed: .lost("the server closed the connection")
      case NetworkError.reset: .lost("the connection was reset")
      case NetworkError.refused: .lost("the connection was refused")
      case NetworkError.unreachable(let why), NetworkError.exhausted(let why): .lost(why)
      case is CancellationError, is NodeDown: .stopped(error)
      default: .lost("\(error)")
      }
  }

  /// What to do about a failure.
  enum Remedy: Equatable {
    /// The server undid the transaction because of others: run it again.
    case again
    /// Run it again on another connection.
    case anotherConnection
    /// The server does not take writes: find the one that does.
    case anotherServer
    /// Nothing helps now.
    case none
  }

  /// What to do about a failure before COMMIT was sent, or an answer to it.
  var remedy: Remedy {
    switch self {
    case .lost: .anotherConnection
    case .refused, .insecure, .stopped: .none
    case .server(let fields):
      switch (fields.code, fields.code.category) {
      case (.serializationFailure, _), (.deadlockDetected, _): .again
      // `25006`: a standby, or a primary that an operator has made read-only.
      case (.readOnlyTransaction, _): .anotherServer
      case (.adminShutdown, _), (.crashShutdown, _), (_, "08"): .anotherConnection
      // A prepared statement that is gone, or whose table has other columns now.
      case (.invalidStatementName, _), (.featureNotSupported, _): .anotherConnection
      default: fields.endsConnection && fields.code != .tooManyConnections ? .anotherConnection : .none
      }
    }
  }

  /// The error for the service.
  var error: DatabaseError {
    switch self {
    case .lost(let why), .refused(let why), .insecure(let why): return .unavailable(why)
    case .stopped(let error): return .unavailable("\(error)")
    case .server(let fields):
      let text = "\(fields.message) (SQLSTATE \(fields.code.text))"
      switch (fields.code, fields.code.category) {
      case (.serializationFailure, _), (.deadlockDetected, _): return .conflict(text)
      // A value that does not fit its column, or a row that breaks a constraint.
      case (_, "22"), (_, "23"): return .constraint(text)
      case (.diskFull, _): return .full
      case (_, "08"), (_, "28"), (_, "3D"), (_, "53"), (_, "57"), (_, "55"): return .unavailable(text)
      case (.readOnlyTransaction, _): return .unavailable("the server is read-only: \(text)")
      default: return .unavailable("the server refused a statement: \(text)")
      }
    }
  }
}
