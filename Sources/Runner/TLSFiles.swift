import CLinux
import Environment
import Glibc
import Real
import System

/// The files with the certificates of a configuration.
struct TLSFiles: Sendable {
  private let pairs: [(certificate: String, key: String)]
  private let clientAuthorities: String?
  private let authorities: String?
  /// The directory of the certificate that signs itself, and its names, if it is wanted.
  private let selfSigned: (directory: String, names: [String])?

  init(_ configuration: Configuration) {
    clientAuthorities = configuration.list("tls-client-ca").first
    authorities = configuration.list("ca").first
    guard configuration.text("tls-self-signed") == "true" else {
      pairs = Array(zip(configuration.list("tls-cert"), configuration.list("tls-key")))
      selfSigned = nil
      return
    }
    let directory = configuration.text("data")
    pairs = [(directory + "/tls-self-signed.crt", directory + "/tls-self-signed.key")]
    var names = ["localhost", "127.0.0.1", "::1"]
    let host = configuration.text("host")
    if !names.contains(host), host != "0.0.0.0", host != "::" { names.append(host) }
    if !names.contains(Host.machine) { names.append(Host.machine) }
    selfSigned = (directory, names)
  }

  /// The files of a client.
  init(authorities: String?) {
    self.authorities = authorities
    pairs = []
    clientAuthorities = nil
    selfSigned = nil
  }

  /// The files of the certificates that servers show.
  var certificatePaths: [String] { pairs.map(\.certificate) }

  /// The certificates that a server shows which has these files.
  static func leaves(in paths: [String]) throws(UsageError) -> [Certificate] {
    var leaves: [Certificate] = []
    for path in paths { leaves += try certificates(path).prefix(1) }
    return leaves
  }

  /// The paths of all files, in a fixed order.
  private var paths: [String] {
    pairs.flatMap { [$0.certificate, $0.key] } + [clientAuthorities, authorities].compactMap { $0 }
  }

  /// Reads the files.
  func read() throws(UsageError) -> Certificates.Contents {
    var contents = Certificates.Contents()
    for (certificate, key) in pairs {
      let bytes = (try Self.bytes(certificate), try Self.bytes(key))
      do throws(TLSError) {
        contents.pairs.append(try CertificatePair(certificate: bytes.0, key: bytes.1))
      } catch {
        throw UsageError("\(certificate) and \(key): \(error)")
      }
    }
    if let clientAuthorities { contents.clientAuthorities = try Self.certificates(clientAuthorities) }
    if let authorities { contents.authorities = try Self.certificates(authorities) }
    return contents
  }

  private static func certificates(_ path: String) throws(UsageError) -> [Certificate] {
    let bytes = try bytes(path)
    do throws(TLSError) { return try Certificate.parse(pem: bytes) } catch { throw UsageError("\(path): \(error)") }
  }

  private static func bytes(_ path: String) throws(UsageError) -> [UInt8] {
    guard let bytes = readFile(path) else { throw UsageError("\(path): \(String(cString: strerror(errno)))") }
    return bytes
  }

  /// Checks the files that have to exist before the start.
  func check() throws(UsageError) {
    if selfSigned == nil { _ = try makeCertificates() }
  }

  /// Reads the files, after it has made the certificate that signs itself if that is wanted and
  /// missing or expired.
  func makeCertificates() throws(UsageError) -> Certificates {
    if let selfSigned { try makeSelfSigned(selfSigned.names) }
    let contents = try read()
    do throws(TLSError) { return try Certificates(contents) } catch { throw UsageError("TLS: \(error)") }
  }

  private func makeSelfSigned(_ names: [String]) throws(UsageError) {
    let now = WallClock.now
    if let contents = try? read(), now < contents.pairs[0].leaf.notAfter { return }
    let pair: CertificatePair
    do throws(TLSError) {
      pair = try CertificateMaker.selfSigned(
        for: names, from: now + .seconds(-3600), to: now + .seconds(365 * 86_400), entropy: RealEntropy())
    } catch {
      throw UsageError("--tls-self-signed: \(error)")
    }
    try Self.write(pair.keyPEM, to: pairs[0].key, mode: 0o600)
    try Self.write(pair.leaf.pem, to: pairs[0].certificate, mode: 0o644)
  }

  /// Replaces a file. Its mode holds from the start.
  private static func write(_ bytes: [UInt8], to path: String, mode: mode_t) throws(UsageError) {
    let draft = path + ".new"
    unlink(draft)
    let file = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
    guard file >= 0 else { throw UsageError("\(draft): \(String(cString: strerror(errno)))") }
    defer { close(file) }
    let isWritten = Glibc.write(file, bytes, bytes.count) == bytes.count && fsync(file) == 0
    guard isWritten, rename(draft, path) == 0 else { throw UsageError("\(path): \(String(cString: strerror(errno)))") }
  }

  /// What changes when a file is replaced or written: of each file its device, inode, size and
  /// time.
  var fingerprint: [Int64] {
    paths.flatMap { path -> [Int64] in
      var status = stat()
      guard stat(path, &status) == 0 else { return [-1, Int64(errno), 0, 0, 0] }
      return [
        Int64(truncatingIfNeeded: status.st_dev), Int64(truncatingIfNeeded: status.st_ino), Int64(status.st_size),
        Int64(status.st_mtim.tv_sec), Int64(status.st_mtim.tv_nsec),
      ]
    }
  }
}

/// Reads the certificates of a process again when their files change and when it gets SIGHUP, and
/// warns before they expire. Runs on its own thread.
final class CertificateWatch: Sendable {
  /// How often the files are looked at.
  private static let interval: Int32 = 2
  /// The time before the expiry in which each day has a warning.
  private static let notice: Duration = .seconds(14 * 86_400)

  private let files: TLSFiles
  private let certificates: Certificates
  private let log: Log
  private let signals: StopSignals

  init(_ files: TLSFiles, _ certificates: Certificates, _ log: Log, _ signals: StopSignals) {
    self.files = files
    self.certificates = certificates
    self.log = log
    self.signals = signals
  }

  /// Warns of a certificate that expires soon, and starts the thread.
  func start() {
    let known = files.fingerprint
    var warned: Timestamp?
    warn(&warned)
    startThread(stackBytes: 256 << 10) { [warned] in self.run(known, warned) }
  }

  private func run(_ known: [Int64], _ warned: Timestamp?) {
    var (known, warned) = (known, warned)
    while true {
      let isAsked = signals.waitForReload(seconds: Self.interval)
      let current = files.fingerprint
      if isAsked || current != known {
        known = current
        reload()
      }
      warn(&warned)
    }
  }

  private func reload() {
    do {
      try certificates.replace(with: files.read())
      let expiry = certificates.expiry.map { Log.Value.string($0.rfc3339) } ?? "none"
      log.info("certificates-replaced", ["expires": expiry])
    } catch {
      let reason = (error as? UsageError)?.message ?? "\(error)"
      log.error("certificates-refused", ["reason": .string(reason), "advice": "the ones of before stay in use"])
    }
  }

  private func warn(_ warned: inout Timestamp?) {
    guard let expiry = certificates.expiry else { return }
    let now = WallClock.now
    guard expiry - now < Self.notice else {
      warned = nil
      return
    }
    if let last = warned, now - last < .seconds(86_400) { return }
    warned = now
    log.warning(
      now < expiry ? "certificate-expires" : "certificate-expired",
      ["at": .string(expiry.rfc3339), "days": .int(max(0, (expiry - now).nanoseconds / 86_400_000_000_000))])
  }
}
