"""The table of expected failures accepts a run that is as expected, and no other."""

import pathlib
import sys
import tempfile
import unittest

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "ClientSuites"))

import expected  # noqa: E402

TABLE = """# No TLS.
suite::tls*
suite::one[a-b]

skip suite::slow
"""


class Tables(unittest.TestCase):
    def judge(self, text, outcomes):
        with tempfile.TemporaryDirectory() as folder:
            expected.FOLDER = pathlib.Path(folder)
            (expected.FOLDER / "suite.txt").write_text(text)
            return expected.Table("suite").judge(outcomes)

    def test_judgements(self):
        good = {"suite::tls[1]": "failed", "suite::tls[2]": "failed", "suite::one[a-b]": "failed", "suite::two": "passed", "suite::three": "skipped"}
        self.assertEqual(self.judge(TABLE, good), [])
        for change, found in (({"suite::two": "failed"}, "failed: suite::two"),
                              ({"suite::tls[2]": "passed"}, "passed, but is expected to fail: suite::tls[2]"),
                              ({"suite::one[a]": "failed"}, "failed: suite::one[a]")):
            self.assertEqual(self.judge(TABLE, {**good, **change}), [found])
        self.assertEqual(self.judge(TABLE, {"suite::one[a-b]": "failed"}), ["the table names a test that did not run: suite::tls*"])

    def test_a_failure_needs_a_reason(self):
        with self.assertRaises(ValueError):
            self.judge("suite::one\n", {})


if __name__ == "__main__":
    unittest.main()
