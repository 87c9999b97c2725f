import Environment

/// Watches whether a client is still connected while its answer is prepared. Keeps the bytes of the
/// next request that it reads meanwhile.
final class ConnectionWatch: @unchecked Sendable {
  // Used on the server's executor only.
  private var read: [UInt8] = []
  private var task: Task<Void, Never>?

  /// Starts to watch. Calls `gone` when the client closes the connection.
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

  /// Stops, and returns the bytes that were read.
  func stop() async -> [UInt8] {
    task?.cancel()
    await task?.value
    task = nil
    return read
  }
}
