import Environment
import Glibc
import Reservations
import Simulation

// simulate [--mistake NAME] [--seeds N | --seed S]: runs seeds 1...N, or one seed with its trace.
var mistakes: Set<Mistake> = []
var seeds: ClosedRange<UInt64> = 1...200
var isTraced = false

func usage(_ problem: String) -> Never {
  print(
    "\(problem)\nusage: simulate [--mistake \(Mistake.allCases.map(\.rawValue).joined(separator: "|"))] [--seeds N | --seed S]"
  )
  exit(64)
}

var arguments = CommandLine.arguments.dropFirst()
while let flag = arguments.popFirst() {
  guard let value = arguments.popFirst() else { usage("\(flag): no value") }
  switch (flag, UInt64(value), Mistake(rawValue: value)) {
  case ("--mistake", _, let mistake?): mistakes.insert(mistake)
  case ("--seeds", let count?, _) where count > 0: seeds = 1...count
  case ("--seed", let seed?, _):
    seeds = seed...seed
    isTraced = true
  default: usage("\(flag) \(value): invalid")
  }
}

let trace: (TraceEvent) -> Void = { print("\(Double($0.at) / 1e9) s  \($0.node)  \($0.kind)  \($0.detail)") }
var failures = 0
for seed in seeds {
  let run = Run(seed: seed, mistakes: mistakes, sink: isTraced ? trace : nil)
  let broken = run.judge()
  if isTraced { print("hash \(String(run.world.hash.value, radix: 16))") }
  if broken.isEmpty { continue }
  failures += 1
  if failures > 1 { continue }
  print("seed \(seed) failed:")
  for promise in broken { print("  \(promise)") }
  print("replay it with --seed \(seed)" + mistakes.map { " --mistake \($0.rawValue)" }.joined())
}
print("\(seeds.count - failures) passed, \(failures) failed")
exit(failures == 0 ? 0 : 1)
