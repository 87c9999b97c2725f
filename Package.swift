// swift-tools-version: 6.2
import PackageDescription

/// The settings of every target: Swift 6, nonisolated async functions run on their caller's
/// executor, and warnings are errors.
let common: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .enableUpcomingFeature("ExistentialAny"),
  .treatAllWarnings(as: .error),
  // The optimizer removes hops between executors. In the simulator each hop is a choice of the
  // scheduler, so a seed would give different runs in debug and in release
  // (docs/decisions/0007-executor-hops-stay.md).
  .unsafeFlags(["-Xllvm", "-sil-disable-pass=optimize-hop-to-executor"]),
  // Debug builds, and so all tests, check exclusive access. In release the checks would be a tenth
  // of all instructions (docs/decisions/0012-exclusivity-in-debug.md).
  .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release)),
]

/// Without cross-module optimization, calls between the targets take 6 % of a simulated run
/// (docs/decisions/0026-targets-in-folders.md).
let strict = common + [.unsafeFlags(["-cross-module-optimization"], .when(configuration: .release))]

/// The functions of this target use thread-local variables, of which each module that includes the
/// header has its own. So no function may be copied into another module.
let uncopied = common + [.unsafeFlags(["-disable-cmo"], .when(configuration: .release))]

/// With PARLEY_FUZZ the package builds only the fuzz targets. `scripts/fuzz-inputs` compiles
/// everything with coverage instrumentation in a separate build folder, and links libFuzzer's main.
let isFuzzing = Context.environment["PARLEY_FUZZ"] != nil

/// The folders of the target Simulation, which can simulate any system.
let engine = ["Kernel", "World", "Strategies", "Linearizability"]
/// The folders of the target Sim, which simulates Parley.
let product = [
  "Counters", "Explore", "Faults", "Model", "Oracles", "Pairs", "Parsing", "PostgreSQL", "Report", "Run", "Scenario",
  "Search", "Workload",
]

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
    // Compiles the bugs that lessons and tests of oracles plant. `scripts/release` builds without
    // them.
    .trait(name: "PlantedBugs", description: "Bugs that a scenario can plant in the services"),
  ],
  targets: [
    .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
    .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CLinux"),
    .systemLibrary(name: "CConcurrency"),
    // The private entry points and hooks of Swift's runtime. No other target uses them.
    .target(
      name: "RuntimeHooks", dependencies: ["CConcurrency"], path: "Sources/System/RuntimeHooks", swiftSettings: uncopied
    ),
    .target(
      name: "Environment", path: "Sources/System/Environment", swiftSettings: strict),
    .target(
      name: "System", dependencies: ["Environment", "CSQLite", "COpenSSL"], path: "Sources/System",
      exclude: ["Environment", "RuntimeHooks"], swiftSettings: strict),
    // The engine of the simulator. It depends on no service, and neither on SQLite nor on OpenSSL.
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
      name: "PostgresProbe", dependencies: ["Environment", "Real", "System", "CLinux"],
      path: "Tests/Support/PostgresProbe", swiftSettings: strict),
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
    // Compares the simulated PostgreSQL with a real one (`scripts/postgresql-conformance`).
    .executableTarget(
      name: "PostgreSQLConformance", dependencies: ["Sim", "System"], path: "Tests/Support/PostgreSQLConformance",
      exclude: ["schema.sql"], swiftSettings: strict),
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
    // The parsers of the command line, as a library, since an executable would add a second main.
    .target(
      name: "Runner", dependencies: ["Environment", "Real", "Sim", "Simulation", "System", "CLinux"],
      path: "Sources/Runner",
      exclude: ["Real", "main.swift"], swiftSettings: strict),
    .executableTarget(
      name: "Fuzz", dependencies: ["Environment", "Runner", "Sim", "Simulation", "System"], path: "Tests/FuzzTests",
      exclude: ["CorpusTests.swift"], swiftSettings: strict),
  ]
}
