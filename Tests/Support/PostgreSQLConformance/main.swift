import Glibc

// Compares the simulated PostgreSQL with a real one: `PostgreSQLConformance SOCKET USER SCHEMA
// SECONDS SEED`.

func file(_ path: String) -> String {
  guard let handle = fopen(path, "r") else { fatalError("cannot read \(path)") }
  defer { fclose(handle) }
  var bytes: [UInt8] = []
  var part = [UInt8](repeating: 0, count: 65536)
  while case let count = fread(&part, 1, part.count, handle), count > 0 { bytes += part[..<count] }
  return String(decoding: bytes, as: UTF8.self)
}

let arguments = CommandLine.arguments
guard arguments.count == 6, let seconds = Int(arguments[4]), let firstSeed = UInt64(arguments[5]) else {
  print("usage: PostgreSQLConformance SOCKET USER SCHEMA SECONDS SEED")
  exit(2)
}
let schema = file(arguments[3])
let real = try RealServer(path: arguments[1], user: arguments[2], sessions: 3, schema: schema)

@MainActor
func isDifferent(_ schedule: [Step]) throws -> String? {
  try difference(try record(schedule, on: real), schema: schema)
}

/// Leaves out steps while the servers still differ.
@MainActor
func shrunk(_ schedule: [Step]) throws -> ([Step], String) {
  var schedule = schedule
  var text = ""
  var length = max(1, schedule.count / 2)
  while true {
    var start = 0
    while start < schedule.count {
      var shorter = schedule
      shorter.removeSubrange(start..<min(schedule.count, start + length))
      if let found = try isDifferent(shorter) {
        schedule = shorter
        text = found
      } else {
        start += length
      }
    }
    if length == 1 { return (schedule, text) }
    length /= 2
  }
}

let start = time(nil)
var seed = firstSeed
var steps = 0
var differences = 0
while time(nil) - start < seconds {
  let levels = ["", "", "", "", " ISOLATION LEVEL REPEATABLE READ", " ISOLATION LEVEL SERIALIZABLE"]
  var generator = Generator(seed: seed)
  let schedule = generator.schedule(isolation: levels[Int(seed) % levels.count])
  steps += schedule.count
  if let text = try isDifferent(schedule) {
    print("seed \(seed) differs: \(text)\nshrinking…")
    let (short, reason) = try shrunk(schedule)
    print("the shortest schedule:")
    for step in short { print("  \(step)") }
    print(reason)
    fflush(nil)
    differences += 1
    if differences == 5 { break }
  }
  seed += 1
}
print("\(seed - firstSeed) schedules of \(steps) steps: \(differences) differ")
exit(differences == 0 ? 0 : 1)
