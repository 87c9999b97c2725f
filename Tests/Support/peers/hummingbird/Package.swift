// swift-tools-version: 6.0
import PackageDescription

/// A peer for `scripts/bench`, separate from Parley. Building it needs access to GitHub.
let package = Package(
  name: "hummingbird-peer",
  platforms: [.macOS(.v14)],
  dependencies: [.package(url: "https://github.com/hummingbird-project/hummingbird.git", from: "2.0.0")],
  targets: [
    .executableTarget(name: "LoginPeer", dependencies: [.product(name: "Hummingbird", package: "hummingbird")])
  ]
)
