/// What is running.
public enum Release {
  /// The version of the binary, of every service and of their documents.
  public static let version = "1.0.0"
}
