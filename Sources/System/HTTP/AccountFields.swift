extension Schema {
  /// The name of an account: its email or its username.
  static let accountName = Schema.string(.init(maximumBytes: AccountName.maximumBytes, example: "user@example.com"))

  /// A new password.
  static let newPassword = Schema.string(
    .init(
      minimumLength: Password.minimumCharacters, maximumLength: Password.maximumBytes, example: "password123"))

  /// The password of a login.
  static let password = Schema.string(.init(maximumBytes: Password.maximumRawBytes, example: "password123"))
}
