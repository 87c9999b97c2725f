extension Database {
  /// The metrics of its files.
  func metrics() async -> [MetricFamily] {
    [
      MetricFamily(
        "parley_database_file_bytes", .gauge, "The size of a file of the database.", by: "file",
        await fileSizes().map { ($0.name, Double($0.bytes)) })
    ]
  }
}
