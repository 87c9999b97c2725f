@testable import Environment
import Foundation
import Testing

/// The inputs that once ended a process, and the seeds of the search for others.
@Suite("The corpus of inputs")
struct CorpusTests {
  private static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "Corpus")

  @Test("no input ends the process", arguments: FuzzTarget.all.map(\.name))
  func replay(target name: String) throws {
    let target = try #require(FuzzTarget.named(name))
    let files = try FileManager.default.contentsOfDirectory(atPath: Self.folder.appending(path: name).path).sorted()
    #expect(!files.isEmpty)
    for file in files { target.run(Array(try Data(contentsOf: Self.folder.appending(path: "\(name)/\(file)")))) }
  }

  @Test("each folder belongs to a target")
  func folders() throws {
    let folders = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path)
    #expect(Set(folders) == Set(FuzzTarget.all.map(\.name)))
  }
}
