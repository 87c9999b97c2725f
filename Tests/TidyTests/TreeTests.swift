import Foundation
import Testing

/// Compares the tree in `docs/architecture.md` with the disk.
@Suite("Tree")
struct TreeTests {
  /// The folders of the tree, by the folder that holds them: `Sources/System` holds `Wire`, and
  /// that holds `JSON`.
  private func documented() throws -> [String: Set<String>] {
    let text = try String(contentsOf: TidyTests.root.appending(path: "docs/architecture.md"), encoding: .utf8)
    let tree = try #require(text.firstMatch(of: /```text\n((?s:.*?))```/)).output.1
    var folders: [String: Set<String>] = [:]
    var top = ""
    for line in tree.split(separator: "\n") {
      // A folder's name ends with a slash; the rest of the line names what it holds, among other
      // words.
      let names = line.split(separator: " ").flatMap { $0.split(separator: ",") }
        .map { $0.trimmingCharacters(in: CharacterSet(charactersIn: ":;.")) }.filter { $0.hasSuffix("/") }
        .map { String($0.dropLast()) }
      guard let first = names.first else { continue }
      if line.hasPrefix("   ") {
        folders[top, default: []].formUnion(names)
      } else if line.hasPrefix(" ") {
        folders[top, default: []].insert(first)
        folders["\(top)/\(first)", default: []].formUnion(names.dropFirst())
      } else {
        top = first
        folders[top, default: []].formUnion(names.dropFirst())
      }
    }
    return folders
  }

  private func onDisk(_ folder: String) throws -> Set<String> {
    let url = TidyTests.root.appending(path: folder)
    let entries = try FileManager.default.contentsOfDirectory(at: url, includingPropertiesForKeys: [.isDirectoryKey])
    let folders = try entries.filter { try $0.resourceValues(forKeys: [.isDirectoryKey]).isDirectory == true }
    return Set(folders.map(\.lastPathComponent).filter { !$0.hasPrefix(".") && $0 != "__pycache__" })
  }

  @Test("the tree in docs/architecture.md is the tree on the disk")
  func tree() throws {
    let documented = try documented()
    #expect(documented.count > 30, "the tree was not read: \(documented.keys.sorted())")
    for (folder, holds) in documented.sorted(by: { $0.key < $1.key }) {
      #expect(try onDisk(folder) == holds, "\(folder)")
    }
  }
}
