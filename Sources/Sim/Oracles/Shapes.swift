import System

/// The answers, acknowledgements and events of a run, against the tables of the services: each has
/// the shape that its row names.
struct ShapeEvidence {
  /// What has another shape, in words.
  private(set) var strange: [String] = []

  init() {}

  init(_ log: CallLog, _ tables: ServedTables) {
    judgeCalls(log, tables)
    judgeEvents(log, tables)
  }

  /// An oracle over everything that any client saw. It holds for every row of every table.
  static let oracle = Oracle(
    "shaped", "answers, acknowledgements and events have the shape that their row names", .atOnce, over: \.shapes
  ) { evidence in evidence.strange.first.map { [Breach([$0])] } ?? [] }

  private mutating func judgeCalls(_ log: CallLog, _ tables: ServedTables) {
    var rows: [String: CallRow] = [:]
    for row in tables.routes { rows["\(row.service) \(row.name)"] = row }
    for (index, call) in log.calls.enumerated() {
      guard let status = call.status else { continue }
      switch call.way {
      case .http(let node):
        guard let row = rows["\(node) \(call.name)"], let shape = row.shape(of: status), !shape.fits(call.answer) else {
          continue
        }
      case .socket(let socket):
        let row = tables.events.first { $0.row.channel == log.sockets[socket].namespace && $0.row.name == call.name }
        guard let shape = row?.row.answer, !shape.fits(call.answer) else { continue }
      }
      strange.append(log.say(index))
    }
  }

  private mutating func judgeEvents(_ log: CallLog, _ tables: ServedTables) {
    // Without the tables of the chat nothing is known of its events.
    guard !tables.emitted.isEmpty else { return }
    var shapes: [String: Schema] = [:]
    for row in tables.emitted { shapes["\(row.channel) \(row.name)"] = row.data }
    for socket in log.sockets {
      for event in socket.events {
        if let shape = shapes["\(socket.namespace) \(event.name)"], shape.fits(event.data) { continue }
        strange.append(
          "\(VirtualTime.text(event.time)) \(socket.person): \(event.name) \(event.data.text.prefix(300)) "
            + "in \(socket.namespace)"
        )
      }
    }
  }
}

extension CallRow {
  /// The shape of a JSON body with a status; nil if the body is no JSON.
  fileprivate func shape(of status: Int) -> Schema? {
    guard let response = route.allResponses.first(where: { $0.status == status }) else {
      return status >= 400 ? errorShape : nil
    }
    return response.contentType == "application/json" ? response.schema ?? errorShape : nil
  }
}
