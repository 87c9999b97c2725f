import Environment
import Glibc
import System

/// `parley users erase`: deletes an account and its data in all services of a data directory.
enum EraseCommand {
  static let help = "delete an account and its data in all services; export it first"
  static let flags = AccountCommand.flags

  static func run(_ words: [String]) throws(UsageError) -> Int32 {
    let arguments = try Arguments(words, flags: flags)
    guard arguments.words.count == 2 else { throw UsageError("write: parley users erase USER") }
    do {
      let outcome = try erase(arguments.words[1], Folder.trimmed(Folder.data(arguments)), arguments.has("dry-run"))
      print(arguments.has("json") ? outcome.text : table(outcome))
      return 0
    } catch let error as UsageError {
      throw error
    } catch {
      return UpkeepFailure(error).report()
    }
  }

  private static func erase(_ user: String, _ data: String, _ isTrial: Bool) throws -> JSONValue {
    let present = try AccountErasure.Service.allCases.filter { try OperatedService.exists($0.kind, data: data) }
    guard present.contains(.users) else { throw UpkeepFailure(["\(data) has no \(UserService.database.path)"]) }
    var services: [AccountErasure.Service: OperatedService] = [:]
    // All are found before one is changed.
    for service in present { services[service] = try OperatedService(service.kind, data: data) }
    var erasure = AccountErasure(of: user, at: Set(present), isTrial: isTrial)
    var step = erasure.begin()
    while true {
      switch step {
      case .send(let request): step = erasure.next(after: try services[request.service]!.erase(request))
      case .publish(let email):
        if try OperatedService.exists(.broker, data: data) {
          let broker = try OperatedService(.broker, data: data)
          try broker.change { try await $0.eraseSessions(of: email) }
          try broker.close()
        }
        step = erasure.next()
      case .wait(let duration):
        usleep(UInt32(duration.nanoseconds / 1000))
        step = erasure.next()
      case .done:
        for service in present { try services[service]!.close() }
        return erasure.outcome
      case .failed(let reason): throw UpkeepFailure([reason])
      }
    }
  }

  private static func table(_ outcome: JSONValue) -> String {
    let names = [
      "user_id", "username", "sessions", "requests", "supervised_sessions", "transcript_messages", "contacts", "groups",
    ]
    let cells = names.map { name in outcome[name].map { $0 == .null ? "" : $0.string ?? $0.text } ?? "" }
    return TextTable(names.map { $0.uppercased() }, [cells], numbers: [2, 3, 4, 5, 6, 7]).text
  }
}

extension AccountErasure.Service {
  fileprivate var kind: OperatedService.Kind {
    switch self {
    case .users: .users
    case .customers: .customers
    case .manager: .manager
    case .chat: .chat
    }
  }
}
