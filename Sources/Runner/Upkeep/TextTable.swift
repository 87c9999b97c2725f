/// A table for a terminal: a line for each row, columns as wide as their widest cell.
struct TextTable {
  private let rows: [[String]]
  /// The columns whose cells end at the right.
  private let numbers: Set<Int>

  init(_ heads: [String], _ rows: [[String]], numbers: Set<Int> = []) {
    self.rows = [heads] + rows.map { $0.map(Self.printable) }
    self.numbers = numbers
  }

  /// A cell without control characters, which could change what a terminal shows: clients choose
  /// some of the cells.
  private static func printable(_ cell: String) -> String {
    var text = ""
    for scalar in cell.unicodeScalars {
      switch scalar.properties.generalCategory {
      case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate:
        text += "\\u{\(String(scalar.value, radix: 16))}"
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text
  }

  var text: String {
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
      let cells = row.enumerated().map { column, cell in
        let space = String(repeating: " ", count: widths[column] - cell.count)
        return numbers.contains(column) ? space + cell : cell + space
      }
      let line = cells.joined(separator: "  ")
      return String(line.reversed().drop { $0 == " " }.reversed())
    }.joined(separator: "\n")
  }
}
