@testable import Environment
import Foundation
import Glibc

/// The outcome of a program that has ended.
///
/// Uses `posix_spawn`, files and `waitpid`. A pipe or socket could be held open by another child.
struct FinishedProcess {
  /// The exit code; nil if a signal ended the program.
  let code: Int32?
  let output: String
  let errors: String

  /// Runs `program` in `folder`, with `environment` added to that of this process.
  init(
    _ program: URL, _ arguments: [String], in folder: URL? = nil, environment: [String: String] = [:],
    input: String = ""
  ) throws {
    let streams = try (0...2).map { _ in try Self.namelessFile() }
    defer { for stream in streams { close(stream) } }
    let bytes = Array(input.utf8)
    guard write(streams[0], bytes, bytes.count) == bytes.count, lseek(streams[0], 0, SEEK_SET) == 0 else {
      throw Self.failure("write")
    }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    for (number, stream) in streams.enumerated() {
      posix_spawn_file_actions_adddup2(&actions, stream, Int32(number))
    }
    let merged = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    // Glibc's module lacks posix_spawn_file_actions_addchdir_np.
    let moved = folder.map { ["/bin/sh", "-c", "cd \"$0\" && exec \"$@\"", $0.path] } ?? []
    let command = moved + [program.path] + arguments
    var words = command.map { strdup($0) } + [nil]
    var variables = merged.map { strdup("\($0)=\($1)") } + [nil]
    defer { for text in words + variables { free(text) } }
    var process = pid_t()
    errno = posix_spawn(&process, command[0], &actions, nil, &words, &variables)
    guard errno == 0 else { throw Self.failure("posix_spawn \(command[0])") }
    var status: Int32 = 0
    while waitpid(process, &status, 0) < 0 {
      guard errno == EINTR else { throw Self.failure("waitpid") }
    }
    code = status & 0x7F == 0 ? (status >> 8) & 0xFF : nil
    output = try Self.text(streams[1])
    errors = try Self.text(streams[2])
  }

  /// A file for reading and writing that no other process can find or inherit.
  private static func namelessFile() throws -> Int32 {
    var name = Array("/tmp/parley-stream-XXXXXX".utf8CString)
    let descriptor = mkstemp(&name)
    guard descriptor >= 0, unlink(name) == 0, fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0 else {
      throw failure("mkstemp")
    }
    return descriptor
  }

  private static func text(_ stream: Int32) throws -> String {
    let handle = FileHandle(fileDescriptor: stream, closeOnDealloc: false)
    try handle.seek(toOffset: 0)
    return String(decoding: try handle.readToEnd() ?? Data(), as: UTF8.self)
  }

  private static func failure(_ call: String) -> any Error {
    NSError(domain: NSPOSIXErrorDomain, code: Int(errno), userInfo: [NSLocalizedDescriptionKey: "\(call): \(errno)"])
  }
}
