// swift-tools-version: 6.2
import PackageDescription

// A package of its own, as a user of the libraries would write it: it depends on three products and
// on no service of Parley.
let package = Package(
  name: "reservations",
  dependencies: [.package(name: "parley", path: "..")],
  targets: [
    .target(name: "Reservations", dependencies: [.product(name: "Environment", package: "parley")]),
    .executableTarget(
      name: "Serve",
      dependencies: [
        "Reservations", .product(name: "Environment", package: "parley"), .product(name: "Real", package: "parley"),
      ]),
    .executableTarget(
      name: "Simulate",
      dependencies: [
        "Reservations", .product(name: "Environment", package: "parley"),
        .product(name: "Simulation", package: "parley"),
      ]),
  ],
  swiftLanguageModes: [.v6]
)
