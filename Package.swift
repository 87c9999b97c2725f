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
]

/// With PARLEY_FUZZ the package builds only the fuzz targets: `scripts/fuzz-inputs` compiles everything with coverage
/// instrumentation, in a build folder of its own, and links libFuzzer's main.
let isFuzzing = Context.environment["PARLEY_FUZZ"] != nil

let package = Package(
  name: "parley",
  products: [
    .executable(name: "parley", targets: ["Runner"]),
    .library(name: "System", targets: ["System"]),
    .library(name: "Sim", targets: ["Sim"]),
  ],
  targets: [
    .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
    .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CLinux"),
    .systemLibrary(name: "CConcurrency"),
    .target(name: "System", dependencies: ["CConcurrency", "CSQLite", "COpenSSL"], swiftSettings: strict),
    .target(name: "Sim", dependencies: ["System"], swiftSettings: strict),
    .target(name: "Real", dependencies: ["System", "CLinux"], path: "Sources/Runner/Real", swiftSettings: strict),
    .executableTarget(
      name: "Runner", dependencies: ["Real", "Sim", "System", "CLinux"], path: "Sources/Runner", exclude: ["Real"],
      swiftSettings: strict),
    .executableTarget(
      name: "ProtocolEcho", dependencies: ["Real", "System", "CLinux"], path: "Tests/Support/ProtocolEcho",
      swiftSettings: strict),
    .executableTarget(
      name: "ChatLoad", dependencies: ["Real", "System", "CLinux"], path: "Tests/Support/ChatLoad",
      swiftSettings: strict),
    .executableTarget(
      name: "QueueLoad", dependencies: ["Real", "System", "CLinux"], path: "Tests/Support/QueueLoad",
      swiftSettings: strict),
    .executableTarget(
      name: "SessionLoad", dependencies: ["Real", "System", "CLinux"], path: "Tests/Support/SessionLoad",
      swiftSettings: strict),
    .testTarget(name: "SystemTests", dependencies: ["System", "Sim", "COpenSSL"], swiftSettings: strict),
    .testTarget(name: "SimTests", dependencies: ["Sim", "System"], swiftSettings: strict),
    .executableTarget(
      name: "Bench", dependencies: ["CSQLite", "Sim", "System"], path: "Tests/Support/Bench", swiftSettings: strict),
    .executableTarget(
      name: "CrashLoop", dependencies: ["Sim", "System"], path: "Tests/Support/CrashLoop", swiftSettings: strict),
    .testTarget(name: "TidyTests", swiftSettings: strict),
    .testTarget(
      name: "RunnerTests", dependencies: ["CrashLoop", "Runner", "Real", "Sim", "System"], swiftSettings: strict),
    .testTarget(
      name: "FuzzTests", dependencies: ["Runner", "Sim", "System"], exclude: ["Entry.swift"], swiftSettings: strict),
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
      name: "Runner", dependencies: ["Real", "Sim", "System", "CLinux"], path: "Sources/Runner",
      exclude: ["Real", "main.swift"], swiftSettings: strict),
    .executableTarget(
      name: "Fuzz", dependencies: ["Runner", "Sim", "System"], path: "Tests/FuzzTests",
      exclude: ["CorpusTests.swift"], swiftSettings: strict),
  ]
}
