"""Tests of the report: `python3 -m unittest discover -s Tests/Coverage`."""

import io
import os
import sys
import tempfile
import unittest
from contextlib import redirect_stdout

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import report  # noqa: E402


class Names(unittest.TestCase):
    def test_types_are_left_out(self):
        for name, expected in {
            "FanOut.publish(_:at:)": "FanOut.publish",
            "static ManagerRoutes.ask(_:_:)": "static ManagerRoutes.ask",
            "UserPool.Place.name.getter": "UserPool.Place.name.getter",
        }.items():
            self.assertEqual(report.simple(name), expected)

    def test_closures_are_told_by_their_number(self):
        self.assertIn("closure #1", report.simple("closure #1 in FanOut.start()"))


class Lists(unittest.TestCase):
    def reasons(self, text):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write(text)
            file.flush()
            return report.reasons(file.name)

    def test_functions_share_a_reason(self):
        known = self.reasons("# comment\n\nA.swift: a\nA.swift: b\n  why\nB.swift: c\n  other\n")
        self.assertEqual(known, {("A.swift", "a"): "why", ("A.swift", "b"): "why", ("B.swift", "c"): "other"})

    def test_a_function_without_a_reason_is_refused(self):
        with self.assertRaises(SystemExit):
            self.reasons("A.swift: a\n")
        with self.assertRaises(SystemExit):
            self.reasons("  why\n")

    def test_the_check_fails_when_the_list_grows_and_not_when_it_shrinks(self):
        known = {("A.swift", "a"): "why"}
        with redirect_stdout(io.StringIO()) as output:
            self.assertTrue(report.grows({("A.swift", "a"): 0, ("A.swift", "b"): 0}, known))
            self.assertFalse(report.grows({("A.swift", "a"): 0, ("A.swift", "b"): 1}, known))
            self.assertFalse(report.grows({("A.swift", "a"): 2}, known))
            self.assertFalse(report.grows({("A.swift", "closure #1 in b"): 0, ("A.swift", "a"): 0}, known))
        self.assertIn("no run enters A.swift: b", output.getvalue())
        self.assertIn("a is entered; take it off the list", output.getvalue())

    def test_every_function_of_the_kept_list_has_a_reason(self):
        known = report.reasons()
        self.assertGreater(len(known), 50)
        self.assertTrue(all(known.values()))


if __name__ == "__main__":
    unittest.main()
