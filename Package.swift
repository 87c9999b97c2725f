// swift-tools-version: 6.2
import PackageDescription

/// One dialect for every target: Swift 6, callers keep their executor, and a warning stops the build.
let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .enableUpcomingFeature("ExistentialAny"),
  .treatAllWarnings(as: .error),
  // An optimized build leaves out hops between executors that an unoptimized one makes. In the simulator each hop is a choice
  // of the scheduler, so without this a seed would mean one run in debug and another in release.
  .unsafeFlags(["-Xllvm", "-sil-disable-pass=optimize-hop-to-executor"]),
  // Exclusive access is checked when the tests run (a debug build); a tenth of all instructions would go to checking it again in release.
  .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release)),
  // Calls between the targets cost 6 % of a simulated run without it (docs/decisions/0026-targets-in-folders.md).
  .unsafeFlags(["-cross-module-optimization"], .when(configuration: .release)),
]

/// With PARLEY_FUZZ the package builds only the fuzz targets: `scripts/fuzz-inputs` compiles everything with coverage
/// instrumentation, in a build folder of its own, and links libFuzzer's main.
let isFuzzing = Context.environment["PARLEY_FUZZ"] != nil

/// The folders of the simulator that anybody's system runs in.
let engine = ["Kernel", "World", "Strategies", "Linearizability"]
/// The folders of the simulator that know Parley.
let product = ["Counters", "Faults", "Oracles", "Parsing", "Report", "Run", "Scenario", "Search", "Workload"]

let package = Package(
  name: "parley",
  products: [
    .executable(name: "parley", targets: ["Runner"]),
    .library(name: "Environment", targets: ["Environment"]),
    .library(name: "Simulation", targets: ["Simulation"]),
    .library(name: "Real", targets: ["Real"]),
    .library(name: "System", targets: ["System"]),
    .library(name: "Sim", targets: ["Sim"]),
  ],
  traits: [
    .default(enabledTraits: ["PlantedBugs"]),
    // Compiles in the known mistakes that lessons and tests of oracles plant. `scripts/release` builds without it.
    .trait(name: "PlantedBugs", description: "Bugs that a scenario can plant in the services"),
  ],
  targets: [
    .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
    .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CLinux"),
    .systemLibrary(name: "CConcurrency"),
    // The private entry points and hooks of Swift's runtime, and nothing else.
    .target(
      name: "RuntimeHooks", dependencies: ["CConcurrency"], path: "Sources/System/RuntimeHooks", swiftSettings: strict),
    .target(
      name: "Environment", path: "Sources/System/Environment", swiftSettings: strict),
    .target(
      name: "System", dependencies: ["Environment", "CSQLite", "COpenSSL"], path: "Sources/System",
      exclude: ["Environment", "RuntimeHooks"], swiftSettings: strict),
    // The engine of the simulator. It knows no service, neither SQLite nor OpenSSL.
    .target(
      name: "Simulation", dependencies: ["Environment", "RuntimeHooks"], path: "Sources/Sim", exclude: product,
      swiftSettings: strict),
    .target(
      name: "Sim", dependencies: ["Environment", "Simulation", "System"], path: "Sources/Sim", exclude: engine,
      swiftSettings: strict),
    .target(
      name: "Real", dependencies: ["Environment", "RuntimeHooks", "CLinux"], path: "Sources/Runner/Real",
      swiftSettings: strict),
    .executableTarget(
      name: "Runner", dependencies: ["Environment", "Real", "Sim", "Simulation", "System", "CLinux"],
      path: "Sources/Runner", exclude: ["Real"],
      swiftSettings: strict),
    .executableTarget(
      name: "ProtocolEcho", dependencies: ["Environment", "Real", "System", "CLinux"],
      path: "Tests/Support/ProtocolEcho",
      swiftSettings: strict),
    .executableTarget(
      name: "ChatLoad", dependencies: ["Environment", "Real", "System", "CLinux"], path: "Tests/Support/ChatLoad",
      swiftSettings: strict),
    .executableTarget(
      name: "QueueLoad", dependencies: ["Environment", "Real", "System", "CLinux"], path: "Tests/Support/QueueLoad",
      swiftSettings: strict),
    .executableTarget(
      name: "SessionLoad", dependencies: ["Environment", "Real", "System", "CLinux"], path: "Tests/Support/SessionLoad",
      swiftSettings: strict),
    .testTarget(
      name: "SystemTests", dependencies: ["Environment", "System", "Sim", "Simulation", "COpenSSL"],
      swiftSettings: strict),
    .testTarget(name: "SimTests", dependencies: ["Environment", "Sim", "Simulation", "System"], swiftSettings: strict),
    .executableTarget(
      name: "Bench", dependencies: ["CSQLite", "Environment", "Sim", "Simulation", "System"],
      path: "Tests/Support/Bench", swiftSettings: strict),
    .executableTarget(
      name: "CrashLoop", dependencies: ["Environment", "Sim", "Simulation", "System"], path: "Tests/Support/CrashLoop",
      swiftSettings: strict),
    .testTarget(name: "TidyTests", swiftSettings: strict),
    .testTarget(name: "RuntimeHooksTests", dependencies: ["RuntimeHooks"], swiftSettings: strict),
    .testTarget(
      name: "RunnerTests", dependencies: ["CrashLoop", "Environment", "Runner", "Real", "Sim", "Simulation", "System"],
      swiftSettings: strict),
    .testTarget(
      name: "FuzzTests", dependencies: ["Environment", "Runner", "Sim", "Simulation", "System"],
      exclude: ["Entry.swift"], swiftSettings: strict),
  ]
)

if isFuzzing {
  package.products = []
  package.targets.removeAll {
    $0.type == .test || $0.path?.hasPrefix("Tests/Support") == true || $0.name == "Runner"
  }
  package.targets += [
    // The command line's parsers, as a library: an executable would bring a second main.
    .target(
      name: "Runner", dependencies: ["Environment", "Real", "Sim", "Simulation", "System", "CLinux"],
      path: "Sources/Runner",
      exclude: ["Real", "main.swift"], swiftSettings: strict),
    .executableTarget(
      name: "Fuzz", dependencies: ["Environment", "Runner", "Sim", "Simulation", "System"], path: "Tests/FuzzTests",
      exclude: ["CorpusTests.swift"], swiftSettings: strict),
  ]
}
