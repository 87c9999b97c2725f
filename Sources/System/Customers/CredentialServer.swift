import Environment

/// Asks the User Service whether an email and a password belong to a customer.
struct CredentialServer {
  private static let timeout: Duration = .seconds(5)

  private let environment: Environment
  private let client: HTTPClientPool
  private let serviceToken: String?

  init(_ environment: Environment, address: SocketAddress, serviceToken: String?) {
    self.environment = environment
    self.serviceToken = serviceToken
    client = HTTPClientPool(environment, address: address)
  }

  func close() async { await client.close() }

  /// Returns whether the customer is registered. `address` is the client's, for the throttle.
  func isRegistered(
    _ email: CustomerEmail, _ password: String, from address: String
  ) async throws -> Bool {
    let fields = serviceToken.map { [(name: "authorization", value: "Bearer \($0)")] } ?? []
    let question: JSONValue = [
      "EMAIL": .string(email.text), "PASSWORD": .string(password), "TYPE": "CUSTOMERS", "ADDRESS": .string(address),
    ]
    let response: HTTPResponse
    do {
      response = try await client.ask("POST", "/check_node", fields: fields, json: question, timeout: Self.timeout)
    } catch is NetworkError {
      throw CustomerRefusal.sessionCreationFailed
    } catch is HTTPError {
      throw CustomerRefusal.sessionCreationFailed
    }
    if response.status == 429 {
      throw CustomerRefusal.tooManyAttempts(
        fields: response.fields.filter { $0.name.lowercased() == "retry-after" })
    }
    if response.status != 200 {
      environment.log.warning("credential-server-refuses", ["status": .int(Int64(response.status))])
    }
    guard response.status == 200, let answer = try? JSONParser.parse(response.body)["MESSAGE"]?.string else {
      throw CustomerRefusal.sessionCreationFailed
    }
    return answer == "REGISTERED"
  }
}
