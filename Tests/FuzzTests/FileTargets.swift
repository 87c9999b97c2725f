@testable import Environment
import Glibc

@testable import Runner
@testable import Sim
@testable import System

extension FuzzTarget {
  /// The parsers of files and of the command line.
  static let files = [
    FuzzTarget("scenario") { input in
      guard (try? Scenario(parsing: input, file: "input")) != nil else { return }
      _ = (try? JSONParser.parse(input)).flatMap(ScenarioDraw.Given.init)
    },
    FuzzTarget("configuration") { input in
      withFile(input) { path in
        let arguments = try Arguments(["--config", path], flags: ServeCommand.flags)
        _ = try Configuration(arguments, environment: []).json
      }
    },
    FuzzTarget("addresses") { input in
      let text = String(decoding: input, as: UTF8.self)
      _ = try? ServiceURL(text, "users-url")
      _ = try? BrokerURL.parse(text, serviceToken: nil)
      _ = BrokerURL.redacted(text)
    },
  ]

  /// Calls `body` with the path of a file with these bytes. An error is a refusal.
  private static func withFile(_ bytes: [UInt8], _ body: (String) throws -> Void) {
    let path = "/tmp/parley-fuzz-\(getpid()).json5"
    let file = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0o600)
    require(file >= 0, "\(path) cannot be written")
    _ = write(file, bytes, bytes.count)
    close(file)
    try? body(path)
    unlink(path)
  }
}
