import Environment
import System

/// A request of a client, over HTTP or as an event on a socket, and its answer.
struct LoggedCall {
  enum Way: Hashable {
    /// Over HTTP, to the service of this node.
    case http(String)
    /// An event on the socket of this index in `CallLog.sockets`.
    case socket(Int)
  }

  let person: String
  let way: Way
  /// The method and the path, as in `POST /login`, or the name of the event.
  let name: String
  /// The parameters of the query or of the body, or the data of the event.
  let arguments: JSONValue
  /// The bearer token.
  let token: String?
  /// Whether the arguments do not have the shape that the service names: it has to refuse them.
  var isMalformed = false
  /// Whether it is an event that asks for no acknowledgement.
  var isSilent = false
  var interval: Interval
  /// The status of the answer; nil if none came. An acknowledgement counts as 200 unless it is an
  /// error, which counts as 400.
  var status: Int?
  /// The body of the answer, or the acknowledgement.
  var answer: JSONValue = .null
}

/// A connection of a client to a Socket.IO namespace, from its beginning.
struct SocketRecord {
  let person: String
  let namespace: String
  let session: String
  /// When the client began to connect.
  let begun: Int
  let begunAt: Int64
  /// When CONNECT was answered, with the id of the socket; nil unless it was accepted.
  var connected: Int?
  var connectedAt: Int64 = .max
  /// The text of the CONNECT_ERROR, and when it arrived.
  var refusal: (position: Int, message: String)?
  /// When the connection ended for the client.
  var ended: Int?
  var endedAt: Int64 = .max
  /// The events that arrived, with their first argument.
  var events: [(position: Int, time: Int64, name: String, data: JSONValue)] = []
}

/// The requests that clients of a run made and the events that they received, in one order.
///
/// The model of the contract judges it.
final class CallLog: Timeline {
  /// The time in which an open socket is told of a change, while no fault is there.
  static let news: Duration = .seconds(6)

  private(set) var calls: [LoggedCall] = []
  private(set) var sockets: [SocketRecord] = []

  // MARK: Calls

  /// Notes a request to the service of a node, in the step that sends it. Returns its index.
  func begin(
    _ person: String, at node: String, _ name: String, _ arguments: JSONValue, token: String? = nil,
    isMalformed: Bool = false
  ) -> Int {
    add(
      LoggedCall(
        person: person, way: .http(node), name: name, arguments: arguments, token: token, isMalformed: isMalformed,
        interval: begin()))
  }

  /// Notes an event that a client emits on a socket. Returns the index of the call.
  func begin(
    _ socket: Int, _ name: String, _ data: JSONValue, isMalformed: Bool = false, isSilent: Bool = false
  ) -> Int {
    add(
      LoggedCall(
        person: sockets[socket].person, way: .socket(socket), name: name, arguments: data, token: nil,
        isMalformed: isMalformed, isSilent: isSilent, interval: begin()))
  }

  private func add(_ call: LoggedCall) -> Int {
    calls.append(call)
    return calls.count - 1
  }

  /// Notes the answer to a request. A request whose answer never comes is not ended.
  func end(_ index: Int, status: Int, _ answer: JSONValue) {
    end(&calls[index].interval)
    calls[index].status = status
    calls[index].answer = answer
  }

  /// Notes the answer of an HTTP service.
  func end(_ index: Int, _ response: HTTPResponse) {
    end(index, status: response.status, (try? JSONParser.parse(response.body)) ?? .null)
  }

  /// Notes the acknowledgement of an event.
  func end(_ index: Int, acknowledgement: JSONValue) {
    end(index, status: acknowledgement["status"] == "error" ? 400 : 200, acknowledgement)
  }

  // MARK: Sockets

  /// Notes that a client begins to connect. Returns the index of the socket.
  func open(_ person: String, namespace: String, session: String) -> Int {
    sockets.append(
      SocketRecord(person: person, namespace: namespace, session: session, begun: next(), begunAt: time))
    return sockets.count - 1
  }

  func connected(_ socket: Int) {
    sockets[socket].connected = next()
    sockets[socket].connectedAt = time
  }

  func refused(_ socket: Int, _ message: String) { sockets[socket].refusal = (next(), message) }

  func received(_ socket: Int, _ name: String, _ data: JSONValue) {
    sockets[socket].events.append((next(), time, name, data))
  }

  /// Notes the end of a connection. A second end changes nothing.
  func ended(_ socket: Int) {
    guard sockets[socket].ended == nil else { return }
    sockets[socket].ended = next()
    sockets[socket].endedAt = time
  }
}
