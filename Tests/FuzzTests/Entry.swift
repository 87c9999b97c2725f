import Glibc
import System

/// The target that `PARLEY_FUZZ_TARGET` names.
private let target: FuzzTarget = {
  let name = getenv("PARLEY_FUZZ_TARGET").map { String(cString: $0) } ?? ""
  guard let target = FuzzTarget.named(name) else {
    print("PARLEY_FUZZ_TARGET is \"\(name)\"; the targets are: \(FuzzTarget.all.map { $0.name })")
    exit(2)
  }
  return target
}()

/// Runs one input of libFuzzer.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  target.run(Array(UnsafeBufferPointer(start: bytes, count: count)))
  return 0
}
