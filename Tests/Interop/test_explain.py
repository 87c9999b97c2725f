"""`parley explain` and the summary of `parley fuzz`, in a headless Chromium and for a real
failure."""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree

import browser
from harness import BINARY

LESSON = "scenarios/lessons/dropped-on-any-disconnect.json5"


def run(*words, code=0):
    answer = subprocess.run([BINARY, *words], capture_output=True, text=True, timeout=300)
    assert answer.returncode == code, answer.stdout + answer.stderr
    return answer.stdout


class Explain(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def test_story(self):
        page = os.path.join(self.folder.name, "page.html")
        text = run("explain", LESSON, "--quick", "--html", page)
        lines = text.splitlines()
        self.assertTrue(any(line.startswith("Promised (present): ") for line in lines))
        # The events that break the promise, in order: the new connection, then the departure of the
        # old one.
        there, gone = (next(i for i, line in enumerate(lines) if words in line)
                       for words in ("user 1 is now free, connection 3", "user 1 is now offline, connection 2"))
        self.assertLess(there, gone)
        self.assertIn("broker loses power", text)
        self.assertNotIn("://", pathlib.Path(page).read_text().replace("http://www.w3.org/2000/svg", ""))

    def test_the_same_seed_gives_the_same_output(self):
        first, second = (run("simulate", LESSON, "--hashes") for _ in range(2))
        self.assertEqual(first, second)

    def test_diagram(self):
        path = os.path.join(self.folder.name, "page.html")
        lines = run("explain", LESSON, "--quick", "--html", path).splitlines()
        there, gone = (next(float(line.split("s ")[0]) for line in lines if words in line)
                       for words in ("user 1 is now free, connection 3", "user 1 is now offline, connection 2"))
        chromium = browser.Browser()
        self.addCleanup(chromium.close)
        page = chromium.page("file://" + path)
        drawn = "Number(document.querySelector('#diagram').dataset.drawn)"
        page.wait(f"{drawn} > 3")
        self.assertEqual(page.evaluate("document.querySelectorAll('#diagram > text').length >= 7"), True)
        # First all events, then those that contain a word.
        for _ in range(12):
            page.evaluate("document.querySelector('#out').click()")
        everything = page.evaluate(drawn)
        page.evaluate("document.querySelector('#filter').value = 'NEW_USER'; document.querySelector('#filter').oninput()")
        some = page.evaluate(drawn)
        self.assertTrue(0 < some < everything, (some, everything))
        # A click shows the decoded bytes.
        page.evaluate("document.querySelector('#diagram .reach').parentNode.onclick()")
        detail = page.evaluate("document.querySelector('#detail').textContent")
        self.assertIn("AMQP: ", detail)
        self.assertIn('"TYPE":"NEW_USER"', detail)
        # The slider selects a time: first the user is connected, then gone.
        def at(seconds):
            page.evaluate(f"document.querySelector('#time').value = {seconds} * 1e6 / last * 100000; document.querySelector('#time').oninput()")
            return page.evaluate("document.querySelector('#state').textContent")
        self.assertIn("nothing yet" if "pool" in at(0.1) else "all up", at(0.1))
        self.assertIn("free, connection 3", at((there + gone) / 2))
        self.assertIn("offline, connection 2", at(gone + 0.01))
        # Zooming in shows fewer events around the same time.
        before = page.evaluate("view.to - view.from")
        page.evaluate("document.querySelector('#break').click(); document.querySelector('#in').click()")
        self.assertLess(page.evaluate("view.to - view.from"), before)
        self.assertEqual(page.complaints, [])
        if folder := os.environ.get("PARLEY_PICTURES"):
            page.evaluate(f"document.querySelector('#filter').value = ''; document.querySelector('#filter').oninput(); look({there - 0.1} * 1e6, {gone + 0.05} * 1e6)")
            page.screenshot(f"{folder}/explained.png")

    def test_when_it_became_inevitable(self):
        path = os.path.join(self.folder.name, "page.html")
        text = run("explain", "scenarios/lessons/checked-then-set.json5", "--html", path)
        before, after = map(int, re.search(r"the chance of failing rose from (\d+) % to (\d+) %", text).groups())
        self.assertLess(before, 50)
        self.assertGreater(after, 80)
        # One step decides, and the events there are told.
        first, last = map(int, re.search(r"between steps (\d+) and (\d+)\.\n    \S", text).groups())
        self.assertLessEqual(last - first, 4)
        chromium = browser.Browser()
        self.addCleanup(chromium.close)
        page = chromium.page("file://" + path)
        page.wait("Number(document.querySelector('#diagram').dataset.drawn) > 3")
        page.evaluate("document.querySelector('#whole').click()")
        self.assertEqual(page.evaluate("document.querySelectorAll('#diagram .chance').length"), 1)
        self.assertGreater(page.evaluate("document.querySelector('#diagram .chance').points.numberOfItems"), 8)
        self.assertEqual(page.evaluate("document.querySelectorAll('#diagram .decided').length"), 1)
        self.assertIn("the chance of failing rose", page.evaluate("document.querySelector('#decided').textContent"))
        self.assertEqual(page.complaints, [])
        if folder := os.environ.get("PARLEY_PICTURES"):
            page.screenshot(f"{folder}/inevitable.png")

    def test_a_branch_replays_a_continuation(self):
        # A continuation is a file: the same steps up to the branch, and other choices after it.
        scenario = "scenarios/accounts/racing-deletes.json5"
        text = pathlib.Path(scenario).read_text()
        hashes = []
        for branch in ("10000000@1", "200@1", "200@2", "200@1"):
            path = os.path.join(self.folder.name, "branch.json5")
            pathlib.Path(path).write_text(text.replace("\n{", '\n{ branches: ["%s"],' % branch, 1))
            hashes.append(run("simulate", path, "--seed", "1", "--hashes").split()[2])
        original = run("simulate", scenario, "--seed", "1", "--hashes").split()[2]
        self.assertEqual(hashes[0], original)
        self.assertEqual(hashes[1], hashes[3])
        self.assertEqual(len({original, hashes[1], hashes[2]}), 3)

    def test_what_separates_failing_runs(self):
        text = run("explain", "scenarios/lessons/acknowledged-before-the-effect.json5", "--why", "--seeds", "1...300")
        failed = int(re.search(r"(\d+) of 300 runs failed", text).group(1))
        self.assertTrue(0 < failed < 300, text)

    def test_diverge(self):
        for more in ([], ["--with", BINARY], ["--strategy", "pct", "--seed", "3"]):
            text = run("diverge", "scenarios/sessions/supervisor-dies.json5", *more)
            self.assertRegex(text, r"The runs are equal: \d{4,} events\.")
        # Another program, which runs another seed.
        other = os.path.join(self.folder.name, "other")
        pathlib.Path(other).write_text(f"#!/bin/sh\nsed -u 's/\"first\":1,\"last\":1/\"first\":2,\"last\":2/' | '{BINARY}' \"$@\"\n")
        os.chmod(other, 0o755)
        text = run("diverge", LESSON, "--seed", "1", "--with", other, code=1)
        self.assertIn("The runs differ after ", text)
        self.assertIn(f"the run of {other}:", text)

    def test_reports_for_other_programs(self):
        junit, report = (os.path.join(self.folder.name, name) for name in ("junit.xml", "report.json"))
        # A lesson without its expectation fails.
        path = os.path.join(self.folder.name, "a<b>&\"c.json5")
        pathlib.Path(path).write_text(re.sub(r"fails: \[[^]]*\],?", "", pathlib.Path(LESSON).read_text()))
        answer = subprocess.run([BINARY, "simulate", path, "scenarios/accounts/crash-and-restart.json5", "--junit", junit, "--json", report,
                                 "--annotations"], capture_output=True, text=True, timeout=300)
        self.assertEqual(answer.returncode, 1)
        suites = xml.etree.ElementTree.parse(junit).getroot()
        self.assertEqual([suite.get("failures") for suite in suites], ["1", "0"])
        self.assertEqual(len(suites[1]), 10)
        failure = suites[0].find("testcase/failure")
        self.assertTrue(failure.get("message").startswith("present: "))
        self.assertEqual(suites[0][0].get("classname"), path)
        found = json.loads(pathlib.Path(report).read_text())
        self.assertEqual((found["passed"], found["failed"]), (10, 1))
        self.assertEqual(found["scenarios"][0]["failures"][0]["oracle"], "present")
        self.assertEqual(found["scenarios"][1]["failures"], [])
        notes = [line for line in answer.stdout.splitlines() if line.startswith("::error ")]
        self.assertEqual(len(notes), 1)
        self.assertIn(",title=present::present: ", notes[0])
        self.assertEqual(answer.stdout.rstrip().splitlines()[-1], "10 passed, 1 failed")

    def test_the_search_finds_shrinks_and_summarizes(self):
        out = os.path.join(self.folder.name, "fuzz")
        text = run("fuzz", "scenarios/chat/crossing-messages.json5", "scenarios/chat/same-message-twice.json5", "--plant", "chat.clientIDInTwoSteps",
                   "--seeds", "60", "--first", "1", "--shrink-time", "20s", "--out", out, code=1)
        self.assertIn("FAILED", text)
        found = [name for name in os.listdir(out) if name.endswith(".json5")]
        self.assertEqual(len(found), 1)
        # The written scenario replays the failure and can be explained.
        run("simulate", os.path.join(out, found[0]))
        story = run("explain", os.path.join(out, found[0]), "--quick", "--html", os.path.join(out, "page.html"))
        self.assertIn("●", story)
        before, after = map(int, text.split("shrunk from ")[1].split(" steps")[0].split(" to "))
        self.assertLess(after, before)
        chromium = browser.Browser()
        self.addCleanup(chromium.close)
        page = chromium.page("file://" + os.path.join(out, "index.html"))
        page.wait("document.querySelectorAll('svg polyline').length === 4")
        self.assertEqual(page.evaluate("document.querySelectorAll('table.matrix td.both').length > 50"), True)
        self.assertEqual(page.evaluate("document.querySelectorAll('h3').length"), 1)
        self.assertEqual(page.complaints, [])
        if folder := os.environ.get("PARLEY_PICTURES"):
            page.screenshot(f"{folder}/fuzzed.png")


if __name__ == "__main__":
    unittest.main()
