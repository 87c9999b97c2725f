/// The id of an account at the User Service.
struct AccountID: Hashable, Sendable {
  let value: String

  init(_ value: String) { self.value = value }
}
