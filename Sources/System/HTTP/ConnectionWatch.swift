import Environment

/// Looks whether a client is still there while its answer is waited for. What it reads of the next request is kept.
final class ConnectionWatch: @unchecked Sendable {
  // Used on the server's executor, as the task is.
  private var read: [UInt8] = []
  private var task: Task<Void, Never>?

  /// Begins to watch; calls `gone` when the client ends the connection.
  init(_ environment: Environment, _ connection: any Connection, gone: @escaping @Sendable () async -> Void) {
    task = environment.executor.spawn("connection-watch") { [self] in
      do {
        let bytes = try await connection.read(atMost: ConnectionMemory.allowance, deadline: nil)
        if bytes.isEmpty { await gone() } else { read = bytes }
      } catch is CancellationError {
        return
      } catch {
        await gone()
      }
    }
  }

  /// Ends the watch, and returns what was read.
  func stop() async -> [UInt8] {
    task?.cancel()
    await task?.value
    task = nil
    return read
  }
}
