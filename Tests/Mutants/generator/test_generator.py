"""Tests of the generator: `python3 -m unittest discover -s Tests/Mutants/generator`."""

import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import main  # noqa: E402
import selection  # noqa: E402
from operators import Edit, candidates, is_excluded_file, symbol  # noqa: E402
from scratch import RUNTIME, declaration, read, replace, rewritten  # noqa: E402
from swift import Source  # noqa: E402


def fixture():
    with open(os.path.join(HERE, "fixture.swift")) as file:
        return Source("Environment/main.swift", file.read())


def numbered(found):
    for number, candidate in enumerate(found):
        candidate.number = number
    return found


def apart(found):
    """Divides candidates into groups without overlaps, since one text holds no two of them."""
    groups = []
    for candidate in found:
        for group in groups:
            if all(candidate.end < other.start or other.end < candidate.start for other in group):
                group.append(candidate)
                break
        else:
            groups.append([candidate])
    return groups


class Reading(unittest.TestCase):
    def test_masks_strings_and_comments(self):
        source = Source("a.swift", 'let a = "x\\(f("}"))" // {\n/* ( */ let b = #"""\n)\n"""#\n')
        self.assertNotRegex(source.code, r"[{}()]")
        self.assertEqual(len(source.code), len(source.text))
        self.assertEqual(source.code.count("\n"), source.text.count("\n"))

    def test_finds_statements(self):
        source = Source("a.swift", "func f() {\n  a()\n    .b()\n  let c =\n    d { $0 }\n  e += 1; g()\n}\n")
        texts = [source.text[s.start:s.end] for s in source.blocks[0].statements]
        self.assertEqual(texts, ["a()\n    .b()", "let c =\n    d { $0 }", "e += 1", "g()"])

    def test_a_type_at_the_end_of_a_line_ends_the_statement(self):
        source = Source("a.swift", "func f() {\n  var a: Int?\n  do {\n    b()\n  }\n}\n")
        self.assertEqual([b.kind for b in source.blocks], ["function", "do"])
        self.assertEqual(source.blocks[1].name, "f")

    def test_tells_blocks_apart(self):
        source = Source(
            "a.swift",
            "struct S {\n  var a: Int { 1 }\n  func f() throws -> [A] {\n    if x { y { z() } }\n    switch b {\n    case .c: d()\n    }\n  }\n}\n")
        self.assertEqual([b.kind for b in source.blocks], ["type", "getter", "function", "if", "closure", "switch"])
        self.assertEqual(source.blocks[3].name, "f")


class Choosing(unittest.TestCase):
    def test_is_deterministic_and_spread(self):
        folder = os.path.join(HERE, "../../../Sources/System")
        sources = selection.read(folder)
        keys = lambda seed: [(m.number, m.key, m.about) for m in selection.choose(sources, 60, seed)]
        one = keys(1)
        self.assertEqual(one, keys(1))
        self.assertNotEqual(one, keys(2))
        self.assertEqual(len(one), 60)
        self.assertGreater(len({selection.room(key) for _, key, _ in one}), 9)
        self.assertGreater(len({key.split(" | ")[2] for _, key, _ in one}), 6)

    def test_overlaps_are_not_chosen(self):
        chosen = selection.choose([fixture()], 12, 3)
        self.assertEqual(len(chosen), 12)
        for one in chosen:
            for other in chosen:
                self.assertTrue(one is other or one.end < other.start or other.end < one.start)

    def test_divides_without_remainder(self):
        self.assertEqual(selection.shares({"a": 1, "b": 1, "c": 1}, 10), {"a": 4, "b": 3, "c": 3})

    def test_excludes_by_rule(self):
        self.assertTrue(is_excluded_file("Chat/Console/ConsolePage.swift"))
        self.assertTrue(is_excluded_file("Chat/PlantedChatBugs.swift"))
        self.assertFalse(is_excluded_file("Chat/FanOut.swift"))
        source = Source("a.swift", 'func f() {\n  environment.log.info("a")\n  if planted(.b) { c() }\n  d()\n}\n')
        texts = [c.about for c in candidates(source)]
        self.assertFalse([text for text in texts if "log" in text or "planted" in text], texts)
        self.assertIn("without `d()`", texts)


class Writing(unittest.TestCase):
    def test_edits_keep_their_order(self):
        self.assertEqual(rewritten("abc", [Edit(1, 2, "X"), Edit(0, 0, "<"), Edit(3, 3, ">")]), "<aXc>")

    def test_symbols_differ(self):
        self.assertEqual(len({symbol(number) for number in range(4000)}), 4000)

    def test_known_equivalents_have_reasons(self):
        for key, reason in main.equivalents().items():
            self.assertGreaterEqual(key.count(" | "), 3, key)
            self.assertTrue(reason, key)

    def test_known_equivalents_are_mutants_of_this_source(self):
        sources = selection.read(os.path.join(HERE, "../../../Sources/System"))
        keys = {candidate.key for source in sources for candidate in candidates(source)}
        self.assertEqual([key for key in main.equivalents() if key not in keys], [])

    def test_every_operator_compiles_and_changes_what_the_fixture_prints(self):
        source = fixture()
        found = numbered(candidates(source))
        operators = {"leave-out", "swap", "negate", "unchecked", "bound", "boolean", "older", "return-early", "sql-condition",
                     "sql-order"}
        self.assertEqual({c.operator for c in found}, operators)
        changed, same = {}, []
        with tempfile.TemporaryDirectory() as folder:
            for group in apart(found):
                edits = [edit for c in group for edit in c.edits(c.number)]
                declarations = [
                    declaration(edit.text[:-6], c.number) for c in group for edit in c.edits(c.number)
                    if symbol(c.number) in edit.text
                ]
                text = rewritten(source.text, edits)
                self.assertEqual(text.count("\n"), source.text.count("\n"))
                replace(os.path.join(folder, "main.swift"), text.encode())
                runtime = RUNTIME.replace("@COUNT@", str(len(found))) + "".join(declarations)
                replace(os.path.join(folder, "Mutant.swift"), runtime.encode())
                names = [os.path.join(folder, name) for name in ("main.swift", "Mutant.swift")]
                built = subprocess.run(
                    ["swiftc", "-Onone", "-suppress-warnings", "-o", os.path.join(folder, "a"), *names],
                    capture_output=True, text=True)
                self.assertEqual(built.returncode, 0, built.stderr + text)
                sites = os.path.join(folder, "sites")
                replace(sites, bytes(len(found)))
                original = self.run_with(folder, None, sites)
                reached = read(sites)
                for c in group:
                    if self.run_with(folder, c.number) != original:
                        changed[c.operator] = changed.get(c.operator, 0) + 1
                        self.assertTrue(reached[c.number], f"the original notes that it reaches {c.key}")
                    else:
                        same.append((c.operator, c.line, c.about))
        self.assertEqual(set(changed), operators, same)
        self.assertLess(len(same), len(found) / 5, same)

    def run_with(self, folder, number, sites=None):
        environment = {key: value for key, value in os.environ.items() if key != "PARLEY_MUTANT"}
        if sites:
            environment["PARLEY_MUTANT_SITES"] = sites
        if number is not None:
            environment["PARLEY_MUTANT"] = str(number)
        try:
            done = subprocess.run(
                [os.path.join(folder, "a")], capture_output=True, text=True, timeout=2,
                env=environment | {"SWIFT_BACKTRACE": "enable=no"})
        except subprocess.TimeoutExpired:
            return "endless"
        return done.stdout, done.returncode


if __name__ == "__main__":
    unittest.main()
