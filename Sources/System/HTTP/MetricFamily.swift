/// A metric and its values at one moment, as `/metrics` shows it to Prometheus.
public struct MetricFamily: Sendable {
  /// The type of a metric.
  public enum Kind: String, Sendable {
    /// Never decreases, except to 0 when the process starts. Its name ends in `_total`.
    case counter
    case gauge
  }

  /// A value, with the labels that tell it from others of its family.
  public struct Sample: Sendable {
    let labels: [(name: String, value: String)]
    let value: Double
  }

  /// The name, with the unit at its end.
  public let name: String
  let kind: Kind
  /// The description for people.
  let help: String
  let samples: [Sample]

  /// A metric without labels. Prometheus adds none but the service's.
  public init(_ name: String, _ kind: Kind, _ help: String, _ value: Double) {
    self.init(name, kind, help, [Sample(labels: [], value: value)])
  }

  /// A metric with a value for each value of a label.
  public init(_ name: String, _ kind: Kind, _ help: String, by label: String, _ values: [(String, Double)]) {
    self.init(name, kind, help, values.map { Sample(labels: [(label, $0.0)], value: $0.1) })
  }

  private init(_ name: String, _ kind: Kind, _ help: String, _ samples: [Sample]) {
    self.name = name
    self.kind = kind
    self.help = help
    self.samples = samples
  }

  /// The lines of the text format (version 0.0.4), with the name of the service as a label.
  func text(service: String) -> String {
    var text = "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n"
    for sample in samples {
      let labels = [("service", service)] + sample.labels.map { ($0.name, $0.value) }
      let list = labels.map { "\($0.0)=\"\(Self.escape($0.1))\"" }.joined(separator: ",")
      text += "\(name){\(list)} \(Self.text(sample.value))\n"
    }
    return text
  }

  private static func text(_ value: Double) -> String {
    Int64(exactly: value).map { "\($0)" } ?? "\(value)"
  }

  /// Clients choose the names of queues.
  private static func escape(_ value: String) -> String {
    var text = ""
    for scalar in value.unicodeScalars {
      switch scalar {
      case "\\": text += "\\\\"
      case "\"": text += "\\\""
      case "\n": text += "\\n"
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text
  }
}

/// Reads metrics that a service does not count as they happen, such as the length of a queue.
public typealias MetricReader = @Sendable () async -> [MetricFamily]
