"""The tables of expected failures.

A line `# reason` is followed by the tests that fail for that reason: ids, in which `*` stands for
any text. A line `skip ID` names tests that are not run at all, since they would only wait.
"""

import fnmatch
import pathlib
import re

FOLDER = pathlib.Path(__file__).resolve().parent / "expected"


def matches(name, pattern):
    # Brackets are part of the ids of tests.
    return fnmatch.fnmatchcase(name, re.sub(r"([\[\]])", lambda found: f"[{found[0]}]", pattern))


class Table:
    def __init__(self, suite):
        self.path = FOLDER / f"{suite}.txt"
        self.failing, self.skipped = {}, {}
        reason = None
        for number, line in enumerate(self.path.read_text().splitlines() if self.path.exists() else [], 1):
            if line.startswith("# "):
                reason = line[2:]
            elif line.strip():
                if not reason:
                    raise ValueError(f"{self.path}:{number}: an expected failure needs a reason")
                if line.startswith("skip "):
                    self.skipped[line[5:]] = reason
                else:
                    self.failing[line] = reason

    def judge(self, outcomes):
        """Returns what is wrong with a run: `outcomes` maps each test to `passed`, `failed` or
        `skipped`."""
        wrong = []
        used = set()
        for test, outcome in sorted(outcomes.items()):
            pattern = next((pattern for pattern in self.failing if matches(test, pattern)), None)
            used.add(pattern)
            if outcome == "failed" and pattern is None:
                wrong.append(f"failed: {test}")
            if outcome == "passed" and pattern is not None:
                wrong.append(f"passed, but is expected to fail: {test}")
        wrong += [f"the table names a test that did not run: {pattern}" for pattern in self.failing if pattern not in used]
        return wrong
