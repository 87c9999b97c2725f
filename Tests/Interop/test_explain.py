"""`parley explain` and the summary of `parley fuzz`, in a headless Chromium and for a real
failure."""

import os
import pathlib
import subprocess
import tempfile
import unittest

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
        text = run("explain", LESSON, "--html", page)
        lines = text.splitlines()
        self.assertTrue(any(line.startswith("Promised (present): ") for line in lines))
        # The events that break the promise, in order: the new connection, then the departure of the
        # old one.
        there, gone = (next(i for i, line in enumerate(lines) if words in line)
                       for words in ("user 1 is now free, connection 2", "user 1 is now offline, connection 1"))
        self.assertLess(there, gone)
        self.assertIn("ann starts to disconnect", text)
        self.assertNotIn("://", pathlib.Path(page).read_text().replace("http://www.w3.org/2000/svg", ""))

    def test_the_same_seed_gives_the_same_output(self):
        first, second = (run("simulate", LESSON, "--hashes") for _ in range(2))
        self.assertEqual(first, second)

    def test_diagram(self):
        path = os.path.join(self.folder.name, "page.html")
        lines = run("explain", LESSON, "--html", path).splitlines()
        there, gone = (next(float(line.split("s ")[0]) for line in lines if words in line)
                       for words in ("user 1 is now free, connection 2", "user 1 is now offline, connection 1"))
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
        self.assertIn("free, connection 2", at((there + gone) / 2))
        self.assertIn("offline, connection 1", at(gone + 0.01))
        # Zooming in shows fewer events around the same time.
        before = page.evaluate("view.to - view.from")
        page.evaluate("document.querySelector('#break').click(); document.querySelector('#in').click()")
        self.assertLess(page.evaluate("view.to - view.from"), before)
        self.assertEqual(page.complaints, [])
        if folder := os.environ.get("PARLEY_PICTURES"):
            page.evaluate(f"document.querySelector('#filter').value = ''; document.querySelector('#filter').oninput(); look({there - 0.1} * 1e6, {gone + 0.05} * 1e6)")
            page.screenshot(f"{folder}/explained.png")

    def test_the_search_finds_shrinks_and_summarizes(self):
        out = os.path.join(self.folder.name, "fuzz")
        text = run("fuzz", "scenarios/chat/crossing-messages.json5", "scenarios/chat/same-message-twice.json5", "--plant", "chat.clientIDInTwoSteps",
                   "--seeds", "60", "--first", "1", "--shrink-time", "20s", "--out", out, code=1)
        self.assertIn("FAILED", text)
        found = [name for name in os.listdir(out) if name.endswith(".json5")]
        self.assertEqual(len(found), 1)
        # The written scenario replays the failure and can be explained.
        run("simulate", os.path.join(out, found[0]))
        story = run("explain", os.path.join(out, found[0]), "--html", os.path.join(out, "page.html"))
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
