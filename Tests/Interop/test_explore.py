"""`parley explore` in a headless Chromium: questions about a run, answered by clicks."""

import http.client
import json
import os
import pathlib
import re
import socket
import subprocess
import tempfile
import unittest

import browser
from harness import BINARY

LOST = "scenarios/lessons/acknowledged-before-the-effect.json5"
RACE = "scenarios/lessons/checked-then-set.json5"


class Explored:
    """A running `parley explore`."""

    def __init__(self, case, scenario, *flags):
        folder = tempfile.TemporaryDirectory()
        case.addCleanup(folder.cleanup)
        self.folder = os.path.join(folder.name, "explored")
        self.process = subprocess.Popen([BINARY, "explore", scenario, "--out", self.folder, *flags], stdout=subprocess.PIPE, text=True)
        case.addCleanup(self.end)
        self.summary = self.process.stdout.readline()
        self.url = self.process.stdout.readline().strip()
        self.port, self.key = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/\?key=([0-9a-f]{32})", self.url).groups()

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
        code = self.process.wait(timeout=20)
        self.process.stdout.close()
        return code

    def ask(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", int(self.port), timeout=20)
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body and json.dumps(body), {**fields, **({"content-type": "application/json"} if body else {})})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def moment(self, step, run=0):
        status, text = self.ask("GET", f"/moment?run={run}&step={step}", authorization="Bearer " + self.key)
        assert status == 200, text
        return json.loads(text)


class Explore(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.browser = browser.Browser()

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()

    def open(self, explored, link="", **size):
        page = self.browser.page(explored.url + link, **size)
        self.settle(page)
        return page

    def settle(self, page):
        """Waits until the page shows the state of its step."""
        page.wait("document.querySelector('#alive').dataset.step === String(view.step) && document.querySelector('#alive').getAttribute('aria-busy') === 'false'")

    def text(self, page, selector):
        return page.evaluate(f"document.querySelector({json.dumps(selector)}).textContent")

    def picture(self, page, name):
        if folder := os.environ.get("PARLEY_PICTURES"):
            page.screenshot(f"{folder}/{name}.png")

    def test_only_the_person_with_the_key_gets_in(self):
        explored = Explored(self, LOST)
        path = explored.url.split(explored.port)[1]
        moment = "/moment?run=0&step=100"
        key = {"authorization": "Bearer " + explored.key}
        self.assertEqual(explored.ask("GET", path)[0], 200)
        self.assertEqual(explored.ask("GET", moment, **key)[0], 200)
        # Loopback gives no access.
        for wrong in ("/", "/?key=", "/?key=" + "0" * 32, path[:-1]):
            self.assertEqual(explored.ask("GET", wrong)[0], 401, wrong)
        self.assertEqual(explored.ask("GET", moment)[0], 401)
        self.assertEqual(explored.ask("GET", moment + "&key=" + explored.key)[0], 401)
        self.assertEqual(explored.ask("POST", "/branches", {"run": 0, "step": 5, "job": 0})[0], 401)
        # Neither do other hosts, as after DNS rebinding, nor other pages, nor proxies.
        self.assertEqual(explored.ask("GET", path, host="evil.example")[0], 421)
        self.assertEqual(explored.ask("GET", moment, host=f"evil.example:{explored.port}", **key)[0], 421)
        self.assertEqual(explored.ask("GET", moment, origin="http://evil.example", **key)[0], 403)
        self.assertEqual(explored.ask("GET", path, sec_fetch_site="cross-site")[0], 403)
        self.assertEqual(explored.ask("GET", path, x_forwarded_for="10.0.0.1")[0], 403)
        with self.assertRaises(OSError):
            socket.create_connection(("127.0.0.2", int(explored.port)), timeout=5)
        # Bad values are refused with a reason, and no file is written.
        for body in ({"run": 0, "step": 5}, {"run": 0, "step": 10**8, "job": 0}, {"run": 0, "step": 5, "fault": "kill", "node": "nobody"},
                     {"run": 0, "step": 5, "fault": "rm", "node": "chat"}):
            status, text = explored.ask("POST", "/branches", body, **key)
            self.assertEqual(status, 400, text)
        self.assertEqual(explored.ask("POST", "/branches", {"run": 7, "step": 5, "job": 0}, **key)[0], 404)
        self.assertEqual(os.listdir(explored.folder), [])
        self.assertEqual(explored.end(), 0)

    def test_the_first_view(self):
        explored = Explored(self, LOST)
        self.assertIn("breaks complete", explored.summary)
        page = self.open(explored)
        # The lanes of the story only, until all are wanted.
        few = page.evaluate("lanes.size")
        self.assertNotIn("customers", page.evaluate("[...lanes.keys()]"))
        page.click("#every")
        self.assertGreater(page.evaluate("lanes.size"), few)
        # A click opens a bundle: the messages of one request.
        page.evaluate("look(1.0e6, 1.2e6)")
        closed = page.evaluate("document.querySelectorAll('#diagram .reach').length")
        count = page.evaluate("Number(document.querySelector('[data-bundle]').dataset.bundle)")
        self.assertGreater(count, 1)
        page.evaluate("document.querySelector('[data-bundle]').onclick()")
        self.assertGreater(page.evaluate("document.querySelectorAll('#diagram .reach').length"), closed - 1)
        self.assertEqual(self.text(page, "#detail").count("sent "), count)
        page.click("#bundled")
        self.assertEqual(page.evaluate("document.querySelectorAll('[data-bundle]').length"), 0)
        # Keys and names for those who see no diagram.
        self.assertEqual(page.accessible("#frame")[:2], ("group", "space-time diagram"))
        self.assertEqual(page.accessible("#near")[:2], ("list", "events around this step"))
        self.assertEqual(page.evaluate("document.querySelector('#here').ariaLive"), "polite")
        before = page.evaluate("view.step")
        for key, by in ((".", 1), (".", 1), (",", -1)):
            page.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=key)
            before += by
            self.settle(page)
            self.assertEqual(page.evaluate("view.step"), before)
        page.call("Input.dispatchKeyEvent", type="keyDown", key="g", text="g")
        self.assertEqual(page.evaluate("document.activeElement.id"), "when")
        for scheme in ("light", "dark"):
            page.scheme(scheme)
            self.assertEqual(page.low_contrast(), [])
        self.assertEqual(page.complaints, [])

    def test_on_a_phone(self):
        page = self.open(Explored(self, LOST), width=390, height=760)
        self.assertLessEqual(page.evaluate("document.scrollingElement.scrollWidth"), 390)
        page.click("#forward")
        self.settle(page)
        self.assertEqual(page.complaints, [])
        self.picture(page, "explored-on-a-phone")

    def test_which_message_was_lost(self):
        page = self.open(Explored(self, LOST))
        # What the manager acknowledged before it died: the last message that it received.
        page.click("#break")
        self.settle(page)
        self.assertIn("manager: down", page.evaluate("document.querySelector('#nodes').innerText"))
        page.evaluate("document.querySelector('#node').value = 'manager'")
        found = ""
        for _ in range(20):
            page.click("#lastEvent")
            self.settle(page)
            if "USER_MESSAGE" in (found := self.text(page, "#detail")):
                break
        self.assertIn('"MESSAGE":"ann/5"', found)
        self.assertRegex(found, r"broker → manager, connection \d+")
        self.assertIn("manager: serving", page.evaluate("document.querySelector('#nodes').innerText"))
        # What never arrived, since the manager was dead.
        page.click("#lost")
        self.settle(page)
        self.assertIn("never arrived", self.text(page, "#detail"))
        self.assertIn("broker → manager", self.text(page, "#detail"))
        self.assertEqual(page.complaints, [])
        self.picture(page, "lost")

    def test_who_held_the_lease(self):
        explored = Explored(self, "scenarios/sessions/supervisor-dies.json5", "--seed", "1")
        page = self.open(explored)
        page.evaluate("document.querySelector('#when').value = '20'")
        page.click("#go button")
        self.settle(page)
        held = re.search(r"running, epoch (\d+), host (supervisor-\d-\w+)", self.text(page, "#state"))
        self.assertIsNotNone(held, self.text(page, "#state"))
        # The manager's own memory says the same.
        def unfold(*path):
            box = "#nodes"
            for name in path:
                found = page.evaluate(f"""(() => {{
                  const box = document.querySelector({json.dumps(box)});
                  const all = [...box.querySelectorAll(':scope > details')];
                  const at = all.findIndex(each => each.querySelector('summary').textContent.split(':')[0].trim() === {json.dumps(name)});
                  if (at < 0) return -1;
                  all[at].querySelector('summary').click();
                  all[at].dataset.test = {json.dumps(name)};
                  return at;
                }})()""")
                self.assertGreaterEqual(found, 0, (name, self.text(page, box)[:2000]))
                box += f" > details[data-test={json.dumps(name)}]"
                page.wait(f"document.querySelector({json.dumps(box)}).children.length > 1")
            return box
        box = unfold("manager", "memory", "backend", "state")
        self.assertIn("sessions", self.text(page, box))
        page.evaluate("location.hash = '#step=' + (view.step + 200)")
        self.settle(page)
        # The tree stays open from step to step.
        self.assertTrue(page.evaluate("[...document.querySelectorAll('#nodes details[open] > summary')].some(each => each.textContent.startsWith('state'))"))
        self.assertEqual(page.complaints, [])

    def test_what_changes_when_the_other_one_goes_first(self):
        explored = Explored(self, RACE)
        self.assertIn("breaks accepted-once", explored.summary)
        # Two commits of the broker may go to the disk, in either order.
        def crosses(moment):
            jobs = moment["jobs"]
            return sum(job["task"] == "broker/work" for job in jobs) == 2 and jobs[moment["next"]]["task"] == "broker/work"
        step = next(step for step in range(2600, 2900) if crosses(explored.moment(step)))
        before = explored.moment(step)
        place = next(place for place, job in enumerate(before["jobs"]) if place != before["next"] and job["task"] == "broker/work")
        page = self.open(explored, f"#step={step}")
        self.assertEqual(page.evaluate("view.step"), step)
        page.click(f"#jobs li:nth-child({place + 1}) button")
        page.wait("new URLSearchParams(location.search).get('run') === '1' && document.readyState === 'complete'")
        self.settle(page)
        self.assertEqual(page.evaluate("view.step"), step)
        after = explored.moment(step, run=1)
        self.assertEqual((after["next"], after["jobs"]), (place, before["jobs"]))
        self.assertEqual(page.evaluate("[...document.querySelectorAll('#jobs li')].findIndex(item => item.ariaCurrent)"), place)
        changes = self.text(page, "#changes")
        self.assertIn("The run went on:", changes)
        self.assertIn("This branch went on:", changes)
        # Both runs are there, and the branch is a file that says the same.
        self.assertEqual(page.evaluate("document.querySelectorAll('#runs li').length"), 2)
        file, = os.listdir(explored.folder)
        path = os.path.join(explored.folder, file)
        self.assertIn("picks: [", pathlib.Path(path).read_text())
        ran = subprocess.run([BINARY, "simulate", path], capture_output=True, text=True, timeout=120)
        self.assertIn("keeps every promise", page.evaluate("document.querySelector('#runs [aria-current]').textContent"))
        self.assertEqual(ran.returncode, 0, ran.stdout)
        # Forward and back come to the same moment.
        shown = self.text(page, "#alive")
        page.click("#forward")
        self.settle(page)
        self.assertNotEqual(self.text(page, "#alive"), shown)
        page.click("#back")
        self.settle(page)
        self.assertEqual(self.text(page, "#alive"), shown)
        self.assertEqual(page.complaints, [])
        self.picture(page, "branched")

    def test_a_fault_that_saves_the_run(self):
        explored = Explored(self, LOST)
        page = self.open(explored)
        # The host of Ann's chat dies before she says what was lost.
        page.evaluate("document.querySelector('#when').value = '1.05'")
        page.click("#go button")
        self.settle(page)
        step = page.evaluate("view.moment.step")
        page.evaluate("document.querySelector('#faultNode').value = 'chat'; document.querySelector('#faultKind').value = 'power'")
        page.click("#strike button")
        page.wait("new URLSearchParams(location.search).get('run') === '1' && document.readyState === 'complete'")
        self.settle(page)
        self.assertIn("chat loses power", self.text(page, "#changes"))
        self.assertIn("keeps every promise", page.evaluate("document.querySelector('#runs [aria-current]').textContent"))
        file, = os.listdir(explored.folder)
        self.assertIn(f"atStep: {step}", pathlib.Path(explored.folder, file).read_text())
        ran = subprocess.run([BINARY, "simulate", os.path.join(explored.folder, file)], capture_output=True, text=True, timeout=120)
        self.assertEqual(ran.returncode, 0, ran.stdout)
        self.assertEqual(page.complaints, [])
        self.picture(page, "struck")


if __name__ == "__main__":
    unittest.main()
