import Environment
import System

/// `parley users disable` and the other commands that change an account.
struct AccountCommand {
  let verb: String
  let help: String

  static let all = [
    AccountCommand(verb: "disable", help: "end its tokens and sessions, and let it log in no more"),
    AccountCommand(verb: "enable", help: "let a disabled account log in again"),
    AccountCommand(verb: "revoke", help: "end its tokens and sessions"),
    AccountCommand(
      verb: "set-password", help: "give it the password on standard input, one line, and end its tokens and sessions"),
  ]

  static let flags = [
    Folder.dataFlag,
    Flag(name: "dry-run", placeholder: nil, help: "show what would be done, and change nothing"), Folder.jsonFlag,
  ]

  func run(_ words: [String]) throws(UsageError) -> Int32 {
    let arguments = try Arguments(words, flags: Self.flags)
    guard arguments.words.count == 2 else { throw UsageError("write: parley users \(verb) USER") }
    var body: [JSONValue.Member] = [.init("user", .string(arguments.words[1]))]
    if verb == "set-password" {
      guard let password = readLine() else { throw UsageError("the password is read from standard input") }
      body.append(.init("password", .string(password)))
    }
    if arguments.has("dry-run") { body.append(.init("dry_run", true)) }
    let answer: (status: Int, body: JSONValue)
    do {
      let users = try OperatedService(.users, data: Folder.trimmed(Folder.data(arguments)))
      answer = try users.send("/operator/users/\(verb)", .object(body))
      try users.close()
    } catch let error as UsageError {
      throw error
    } catch {
      return UpkeepFailure(error).report()
    }
    guard answer.status == 200 else {
      return UpkeepFailure([answer.body["detail"]?.string ?? "the User Service answers \(answer.status)"]).report()
    }
    print(arguments.has("json") ? answer.body.text : Self.table(answer.body))
    return 0
  }

  private static func table(_ account: JSONValue) -> String {
    let names = ["user_id", "username", "email", "disabled", "sessions_ended"]
    let cells = names.map { name in account[name].map { $0.string ?? $0.text } ?? "" }
    return TextTable(names.map { $0.uppercased() }, [cells], numbers: [4]).text
  }
}
