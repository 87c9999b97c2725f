import System

/// What the callers of a run did and saw, and the faults that may explain it.
struct CallerEvidence {
  let calls: [CallerRequest]
  let emits: [CallerEvent]
  let surplus: [String]
  /// Times at which a fault or a delay of the network may explain a 503 or a missing answer.
  let disturbances: [ClosedRange<Int64>]

  init(_ history: CallerHistory, disturbances: [ClosedRange<Int64>] = []) {
    calls = history.calls
    emits = history.emits
    surplus = history.surplus
    self.disturbances = disturbances
  }

  /// Whether a fault may explain what happened during a call.
  func isDisturbed(_ interval: Interval) -> Bool {
    disturbances.contains { $0.lowerBound <= interval.answeredAt && interval.invokedAt <= $0.upperBound }
  }
}

/// The oracles over callers. They need no thought about what a row means: they hold for every row
/// of every table.
enum CallerOracles {
  static let all = [
    Oracle(
      "answered", "a request gets one answer, or its connection ends, while no fault is there", .atOnce,
      over: \.callers, answered),
    Oracle(
      "documented", "every answer has a status that its row names, and a 503 has a fault that explains it", .atOnce,
      over: \.callers, documented),
    Oracle("same-key", "a repeated key gets the first answer again", .atOnce, over: \.callers, sameKey),
    Oracle(
      "reads-forward", "what a client has read is there when it reads again", .atOnce, over: \.callers, readsForward),
  ]

  /// Statuses about the bytes of a request. Any row may answer them.
  private static let aboutBytes: Set<Int> = [408, 413, 414, 431]

  private static func say(_ call: CallerRequest) -> String {
    let times = "\(VirtualTime.text(call.interval.invokedAt))–\(VirtualTime.text(call.interval.answeredAt))"
    let end =
      switch call.ending {
      case .answered(let response): "\(response.status) \(String(decoding: response.body.prefix(300), as: UTF8.self))"
      case .connectionEnded: "the connection ended"
      case .hungUp: "hung up"
      case .unanswered: "no answer"
      case .garbled(let reason): "no HTTP: \(reason)"
      }
    return "\(times) \(call.person): \(call.what) → \(end)"
  }

  static func answered(_ evidence: CallerEvidence) -> [Breach] {
    if let surplus = evidence.surplus.first {
      return [Breach("a request gets one answer", ["after the last answer \(surplus)"])]
    }
    for call in evidence.calls {
      switch call.ending {
      case .garbled: return [Breach("an answer is HTTP", [say(call)])]
      case .unanswered where call.interval.answered != .max && !evidence.isDisturbed(call.interval):
        return [Breach([say(call)])]
      case .answered, .connectionEnded, .hungUp, .unanswered: continue
      }
    }
    return []
  }

  static func documented(_ evidence: CallerEvidence) -> [Breach] {
    for call in evidence.calls {
      guard let status = call.status else { continue }
      if call.isMalformed, status < 300 {
        return [Breach("arguments that do not have the shape of their row are refused", [say(call)])]
      }
      if status == 503 {
        if !evidence.isDisturbed(call.interval) { return [Breach("a 503 has a fault that explains it", [say(call)])] }
      } else if status == 415 {
        return [Breach("the service reads every way to write a request", [say(call)])]
      } else if !aboutBytes.contains(status), !call.row.statuses.contains(status) {
        return [Breach("every answer has a status that its row names", [say(call)])]
      }
    }
    for call in evidence.calls {
      guard case .answered(let response) = call.ending, let fault = fault(in: response, to: call, evidence) else {
        continue
      }
      return [Breach(fault, [say(call)])]
    }
    for emit in evidence.emits where emit.answer?["status"] == "ok" && !emit.event.data.fits(emit.data) {
      return [
        Breach(
          "data that do not have the shape of their row are refused",
          ["\(emit.person): \(emit.event.name) \(emit.data.text)"])
      ]
    }
    return []
  }

  /// The promise about the fields of every answer that one breaks; nil if it keeps all.
  private static func fault(in response: HTTPResponse, to call: CallerRequest, _ evidence: CallerEvidence) -> String? {
    let (status, spelling, access) = (response.status, call.spelling, call.row.route.access)
    if response["date"] == nil { return "every answer has a date" }
    guard let id = response["x-request-id"], !id.isEmpty else { return "every answer has an id" }
    if status < 400, let own = spelling.requestID, id != own { return "an answer has the id of its request" }
    if status == 429, response["retry-after"] == nil { return "429 says when to try again" }
    if status == 401, response["www-authenticate"] == nil, access.hasToken {
      return "401 says how to authenticate (RFC 9110 §15.5.2)"
    }
    // Malformed bytes and streams end the connection, and so does a service that stops.
    guard status < 400, !call.row.isStream else { return nil }
    let persistence = response["connection"]
    if spelling.isVersion10 {
      // RFC 9112 §9.3.
      return spelling.keepsAlive && persistence == "keep-alive" || persistence == "close"
        ? nil : "an answer to HTTP/1.0 says whether the connection stays open"
    }
    return persistence == nil || evidence.isDisturbed(call.interval)
      ? nil : "a connection stays open unless its client wants it otherwise (RFC 9112 §9.3)"
  }

  /// An acknowledgement of a key that the same session used before is the same.
  static func sameKey(_ evidence: CallerEvidence) -> [Breach] {
    var first: [String: CallerEvent] = [:]
    for emit in evidence.emits {
      guard let name = emit.event.key, let key = emit.data[name]?.string, let answer = emit.answer,
        answer["status"] == "ok"
      else { continue }
      let place = "\(emit.session.text) \(emit.event.name) \(JSONValue.string(key).text)"
      guard let earlier = first[place] else {
        first[place] = emit
        continue
      }
      if earlier.answer != answer {
        return [
          Breach([earlier, emit].map { "\($0.person): \($0.event.name) \($0.data.text) → \($0.answer?.text ?? "")" })
        ]
      }
    }
    return []
  }

  /// The highest place in a list that only grows does not go back for the same question.
  static func readsForward(_ evidence: CallerEvidence) -> [Breach] {
    var highest: [String: [(call: CallerRequest, place: Int64)]] = [:]
    for call in evidence.calls where call.row.isGrowing {
      guard case .answered(let response) = call.ending, response.status == 200,
        let list = (try? JSONParser.parse(response.body))?.array
      else { continue }
      let place = list.compactMap { $0["seq"]?.int }.max() ?? 0
      for earlier in highest[call.what] ?? [] where earlier.call.interval.answered < call.interval.invoked {
        if earlier.place > place { return [Breach([say(earlier.call), say(call)])] }
      }
      highest[call.what, default: []].append((call, place))
    }
    return []
  }
}
