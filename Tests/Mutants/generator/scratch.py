"""Compiles all mutants into one binary, each behind a switch, and drops those that do not compile."""

import os
import re
import subprocess
import sys

from operators import COMPARISONS, LOGICAL, symbol

RUNTIME_PATH = "Sources/System/Environment/Mutant.swift"
RUNTIME = r"""
import Glibc

/// The switches. The variable PARLEY_MUTANT holds the number of the mutant that is on. Each site that is
/// reached is noted in the file PARLEY_MUTANT_SITES, a byte for each mutant.
public enum Mutant {
  nonisolated(unsafe) public static let chosen: Int = getenv("PARLEY_MUTANT").map { Int(atoi($0)) } ?? -1
  nonisolated(unsafe) public static let sites: UnsafeMutablePointer<UInt8> = {
    let size = @COUNT@
    if let path = getenv("PARLEY_MUTANT_SITES") {
      let file = open(path, O_RDWR)
      if file >= 0, let memory = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0), memory != MAP_FAILED {
        return memory.assumingMemoryBound(to: UInt8.self)
      }
    }
    let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: size)
    memory.initialize(repeating: 0, count: size)
    return memory
  }()

  @inline(__always) public static func on(_ number: Int) -> Bool {
    sites[number] = 1
    return chosen == number
  }
  @inline(__always) public static func flip(_ number: Int, _ value: Bool) -> Bool { on(number) ? !value : value }
  @inline(__always) public static func holds(_ number: Int, _ value: Bool) -> Bool { on(number) || value }
  @inline(__always) public static func fails(_ number: Int, _ value: Bool) -> Bool { !on(number) && value }
  @inline(__always) public static func pick<T>(_ number: Int, _ value: T, _ other: T) -> T { on(number) ? other : value }
  public static func max<T: Comparable>(_ number: Int, _ a: T, _ b: T) -> T {
    on(number) ? Swift.min(a, b) : Swift.max(a, b)
  }
  public static func min<T: Comparable>(_ number: Int, _ a: T, _ b: T) -> T {
    on(number) ? Swift.max(a, b) : Swift.min(a, b)
  }
}

extension BidirectionalCollection {
  public func firstOrOther(_ number: Int) -> Element? { Mutant.on(number) ? last : first }
  public func lastOrOther(_ number: Int) -> Element? { Mutant.on(number) ? first : last }
}
extension Array {
  public mutating func removeFirstOrOther(_ number: Int) -> Element { Mutant.on(number) ? removeLast() : removeFirst() }
  public mutating func removeLastOrOther(_ number: Int) -> Element { Mutant.on(number) ? removeFirst() : removeLast() }
  public mutating func popLastOrOther(_ number: Int) -> Element? {
    if Mutant.on(number) { return isEmpty ? nil : removeFirst() }
    return popLast()
  }
}
"""

COMPARISON = """
infix operator {new}: ComparisonPrecedence
@inline(__always) public func {new} <T: Comparable>(a: T, b: T) -> Bool {{ Mutant.on({n}) ? a {other} b : a {old} b }}
"""
RANGE = """
infix operator {new}: RangeFormationPrecedence
public func {new} <T: Strideable>(a: T, b: T) -> {type}<T> where T.Stride: SignedInteger {{
  Mutant.on({n}) && a < b ? a{old}b.advanced(by: -1) : a{old}b
}}
"""
LOGIC = """
infix operator {new}: {precedence}
@inline(__always) public func {new} (a: Bool, b: @autoclosure () throws -> Bool) rethrows -> Bool {{
  Mutant.on({n}) ? try a {other} b() : try a {old} b()
}}
"""
COALESCE = """
infix operator {new}: NilCoalescingPrecedence
public func {new} <T>(a: T?, b: @autoclosure () throws -> T) rethrows -> T {{ Mutant.on({n}) ? try b() : try a ?? b() }}
public func {new} <T>(a: T?, b: @autoclosure () throws -> T?) rethrows -> T? {{ Mutant.on({n}) ? try b() : try a ?? b() }}
"""


def declaration(old, number):
    """The declaration of the operator that takes the place of `old` in one mutant."""
    values = {"new": old + symbol(number), "old": old, "n": number}
    if old in COMPARISONS:
        return COMPARISON.format(other=COMPARISONS[old], **values)
    if old in LOGICAL:
        precedence = "LogicalConjunctionPrecedence" if old == "&&" else "LogicalDisjunctionPrecedence"
        return LOGIC.format(other=LOGICAL[old], precedence=precedence, **values)
    if old == "??":
        return COALESCE.format(**values)
    return RANGE.format(type="Range" if old == "..<" else "ClosedRange", **values)


class Scratch:
    """The copy of the package that holds the mutants."""

    def __init__(self, root, folder):
        self.root, self.folder = root, folder
        self.log = os.path.join(folder, "build.log")
        self.builds = 0

    def copy(self):
        """Makes the copy the same as the package. A file that is the same already keeps its date, and so its object."""
        kept = set()
        for name in ("Sources", "Tests"):
            for folder, _, names in os.walk(os.path.join(self.root, name)):
                for file in names:
                    kept.add(os.path.relpath(os.path.join(folder, file), self.root))
        for name in sorted(kept):
            if not name.startswith("Sources/System/"):
                replace(os.path.join(self.folder, name), read(os.path.join(self.root, name)))
        text, count = re.subn(rb"  \.treatAllWarnings\(as: \.error\),\n", b"", read(os.path.join(self.root, "Package.swift")))
        if count != 1:
            raise SystemExit("Package.swift does not treat warnings as errors in one place")
        # A mutant may leave a variable without use.
        replace(os.path.join(self.folder, "Package.swift"), text)
        kept.add(RUNTIME_PATH)
        for name in ("Sources", "Tests"):
            for folder, _, names in os.walk(os.path.join(self.folder, name)):
                for file in names:
                    if os.path.relpath(os.path.join(folder, file), self.folder) not in kept:
                        os.remove(os.path.join(folder, file))
        self.system = [name for name in sorted(kept - {RUNTIME_PATH}) if name.startswith("Sources/System/")]

    def write(self, sources, mutants):
        """Writes every source that a mutant changes, and the switches."""
        by_source = {}
        declarations = []
        for mutant in mutants:
            edits = mutant.edits(mutant.number)
            by_source.setdefault(mutant.source.path, []).extend(edits)
            for edit in edits:
                # An operator with a suffix needs a declaration.
                if symbol(mutant.number) in edit.text:
                    declarations.append(declaration(edit.text[:-6], mutant.number))
        texts = {name: read(os.path.join(self.root, name)) for name in self.system}
        for source in sources:
            text = rewritten(source.text, by_source.get(source.path, []))
            # On the first line, so that the lines keep their numbers.
            if not source.path.startswith("Environment/") and source.path in by_source:
                text = "import Environment; " + text
            texts["Sources/System/" + source.path] = text.encode()
        for name, text in texts.items():
            replace(os.path.join(self.folder, name), text)
        size = max([mutant.number for mutant in mutants], default=0) + 1
        runtime = RUNTIME.replace("@COUNT@", str(size)) + "".join(declarations)
        replace(os.path.join(self.folder, RUNTIME_PATH), runtime.encode())

    def build(self, sources, mutants):
        """Builds the binary. Returns the mutants that compile."""
        while True:
            self.write(sources, mutants)
            self.builds += 1
            command = ". scripts/setup; cd \"$0\"; build_release parley -Xswiftc -no-color-diagnostics"
            with open(self.log, "w") as log:
                status = subprocess.run(
                    ["bash", "-c", f"cd '{self.root}'; {command}", self.folder], stdout=log, stderr=log).returncode
            if status == 0:
                return mutants
            bad = self.wrong(mutants)
            names = ", ".join(f"{m.source.path}:{m.line} {m.operator}" for m in bad)
            print(f"build {self.builds}: {len(bad)} mutants do not compile: {names}", file=sys.stderr, flush=True)
            mutants = [mutant for mutant in mutants if mutant not in bad]

    def wrong(self, mutants):
        """The mutants that the errors of the last build name: on the line; else in the function; else in the file."""
        bad = []
        with open(self.log) as log:
            text = log.read()
        errors = set(re.findall(r"Sources/System/(\S+?\.swift):(\d+):\d+: error:", text))
        for path, line in sorted(errors):
            here = [mutant for mutant in mutants if mutant.source.path == path]
            lines = lambda m: (m.line, m.source.line(max(m.end - 1, m.start)))
            found = [m for m in here if lines(m)[0] <= int(line) <= lines(m)[1]]
            if not found:
                found = [m for m in here if within_function(m, int(line))]
            bad += [m for m in found or here if m not in bad]
        if not bad:
            sys.stderr.write(text[-3000:])
            raise SystemExit(f"the build failed, and no mutant explains it: {self.log}")
        return bad


def within_function(mutant, line):
    block = mutant.source.innermost(mutant.start)
    while block and block.kind not in ("function", "getter"):
        block = block.parent
    return bool(block) and mutant.source.line(block.start) <= line <= mutant.source.line(block.end)


def rewritten(text, edits):
    """The text with edits, which do not overlap. Insertions at one place keep their order."""
    out, last = [], 0
    for _, edit in sorted(enumerate(edits), key=lambda e: (e[1].start, e[1].end, e[0])):
        assert edit.start >= last, "edits overlap"
        out += [text[last:edit.start], edit.text]
        last = edit.end
    return "".join(out) + text[last:]


def read(path):
    with open(path, "rb") as file:
        return file.read()


def replace(path, data):
    """Writes a file if that changes it, so that its date stays as it is otherwise."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if not os.path.exists(path) or read(path) != data:
        with open(path, "wb") as file:
            file.write(data)
