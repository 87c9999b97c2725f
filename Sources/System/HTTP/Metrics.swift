import Environment
import Synchronization

/// The counters of a service, in the text format of Prometheus (version 0.0.4).
public final class Metrics: Sendable {
  /// Upper bounds of the duration buckets, in seconds.
  static let durationBounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
  /// Upper bounds of the commit size buckets, in transactions.
  static let batchBounds = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512].map(Double.init)

  private struct Histogram {
    let bounds: [Double]
    var buckets: [Int]
    var sum = 0.0
    var count = 0

    init(_ bounds: [Double]) {
      self.bounds = bounds
      buckets = [Int](repeating: 0, count: bounds.count + 1)
    }

    mutating func add(_ value: Double) {
      var index = 0
      while index < bounds.count, value > bounds[index] { index += 1 }
      buckets[index] += 1
      sum += value
      count += 1
    }
  }

  private struct State {
    var routes: [String] = []
    /// For each route, the number of answers by status, in order of first appearance.
    var statuses: [[(status: Int, count: Int)]] = []
    var durations: [Histogram] = []
    var openConnections = 0
    var connections = 0
    var batches = Histogram(Metrics.batchBounds)
    var commitDurations = Histogram(Metrics.durationBounds)
    var databaseFailures = 0
    var listener: SecureListener?
  }

  private let service: String
  private let state = Mutex(State())

  /// Makes the counters of a service.
  public init(service: String) { self.service = service }

  /// Sets the routes to count by, such as `GET /health`. Requests that match none are counted last.
  func setRoutes(_ routes: [String]) {
    state.withLock { state in
      state.routes = routes + ["unmatched"]
      state.statuses = Array(repeating: [], count: routes.count + 1)
      state.durations = Array(repeating: Histogram(Self.durationBounds), count: routes.count + 1)
    }
  }

  func answered(route: Int?, status: Int, in duration: Duration) {
    state.withLock { state in
      let route = route ?? state.routes.count - 1
      if let index = state.statuses[route].firstIndex(where: { $0.status == status }) {
        state.statuses[route][index].count += 1
      } else {
        state.statuses[route].append((status, 1))
      }
      state.durations[route].add(duration.inSeconds)
    }
  }

  /// Reports the handshakes and the certificates of a listener.
  func observe(_ listener: SecureListener) { state.withLock { $0.listener = listener } }

  func connectionOpened() {
    state.withLock {
      $0.openConnections += 1
      $0.connections += 1
    }
  }

  func connectionClosed() { state.withLock { $0.openConnections -= 1 } }

  /// Counts the commits and failures of a database.
  public var databaseObserver: DatabaseObserver {
    DatabaseObserver(
      committed: { [self] count, duration in
        state.withLock {
          $0.batches.add(Double(count))
          $0.commitDurations.add(duration.inSeconds)
        }
      },
      failed: { [self] _ in state.withLock { $0.databaseFailures += 1 } })
  }

  /// The page that Prometheus reads, with metrics that were read for it.
  public func text(with families: [MetricFamily]) -> String {
    let build = MetricFamily(
      "parley_build_info", .gauge, "The version of the binary.", by: "version", [(Release.version, 1)])
    return text + ([build] + families).map { $0.text(service: service) }.joined()
  }

  private var text: String {
    let state = state.withLock { $0 }
    var page = Page(service: service)
    page.family("parley_http_requests_total", "counter", "Requests by route and status.")
    for (route, statuses) in zip(state.routes, state.statuses) {
      for (status, count) in statuses.sorted(by: { $0.status < $1.status }) {
        page.line("parley_http_requests_total", ["route": route, "status": "\(status)"], "\(count)")
      }
    }
    page.family("parley_http_request_duration_seconds", "histogram", "Time from the complete request to the answer.")
    for (route, histogram) in zip(state.routes, state.durations) where histogram.count > 0 {
      page.histogram("parley_http_request_duration_seconds", ["route": route], histogram)
    }
    page.family("parley_http_connections_open", "gauge", "Open connections.")
    page.line("parley_http_connections_open", [:], "\(state.openConnections)")
    page.family("parley_http_connections_total", "counter", "Connections accepted.")
    page.line("parley_http_connections_total", [:], "\(state.connections)")
    page.family("parley_database_commit_transactions", "histogram", "Transactions in one durable commit.")
    page.histogram("parley_database_commit_transactions", [:], state.batches)
    page.family("parley_database_commit_duration_seconds", "histogram", "Time from the start of a commit to its end.")
    page.histogram("parley_database_commit_duration_seconds", [:], state.commitDurations)
    page.family("parley_database_failures_total", "counter", "Failures of the database.")
    page.line("parley_database_failures_total", [:], "\(state.databaseFailures)")
    if let listener = state.listener { page.add(listener) }
    return page.text
  }

  private struct Page {
    let service: String
    var text = ""

    mutating func family(_ name: String, _ type: String, _ help: String) {
      text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
    }

    mutating func add(_ listener: SecureListener) {
      let (counts, expiry) = listener.state
      family("parley_tls_handshakes_total", "counter", "TLS handshakes by result.")
      for (result, count) in [("completed", counts.completed), ("failed", counts.failed), ("refused", counts.refused)] {
        line("parley_tls_handshakes_total", ["result": result], "\(count)")
      }
      guard let expiry else { return }
      family(
        "parley_tls_certificate_expiry_timestamp_seconds", "gauge", "When the first certificate expires, as Unix time.")
      line("parley_tls_certificate_expiry_timestamp_seconds", [:], "\(expiry.seconds)")
    }

    mutating func line(_ name: String, _ labels: KeyValuePairs<String, String>, _ value: String) {
      let all = [("service", service)] + labels.map { ($0.key, $0.value) }
      text += "\(name){\(all.map { "\($0.0)=\"\($0.1)\"" }.joined(separator: ","))} \(value)\n"
    }

    mutating func histogram(_ name: String, _ labels: KeyValuePairs<String, String>, _ histogram: Histogram) {
      var total = 0
      for (index, count) in histogram.buckets.enumerated() {
        total += count
        let bound = index < histogram.bounds.count ? "\(histogram.bounds[index])" : "+Inf"
        let all = labels.map { ($0.key, $0.value) } + [("le", bound)]
        let text = all.map { "\($0.0)=\"\($0.1)\"" }.joined(separator: ",")
        self.text += "\(name)_bucket{service=\"\(service)\",\(text)} \(total)\n"
      }
      line(name + "_sum", labels, "\(histogram.sum)")
      line(name + "_count", labels, "\(histogram.count)")
    }
  }
}
