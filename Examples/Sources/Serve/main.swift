import Environment
import Glibc
import Real
import Reservations

// serve [DIRECTORY [PORT]]: serves on loopback until it is killed. Acknowledged reservations are on
// the disk.
let directory = CommandLine.arguments.dropFirst().first ?? "reservations-data"
let port = CommandLine.arguments.dropFirst(2).first.flatMap { UInt16($0) } ?? 0
let node = try RealNode("reservations", directory: directory)
let service = try node.run { environment in
  try await ReservationService.start(environment, on: SocketAddress(host: "127.0.0.1", port: port))
}
print("listening on \(service.addresses[0].address)")
fflush(nil)
try node.run { try await $0.clock.sleep(until: Instant(nanoseconds: .max)) }
