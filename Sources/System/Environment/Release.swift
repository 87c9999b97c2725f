/// The release of Parley.
public enum Release {
  /// The version of the binary, the services and their API documents.
  public static let version = "1.0.0"
}
