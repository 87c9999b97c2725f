"""`parley drive`: a scenario's people against live servers see what they see in the simulator, and their oracles judge it."""

import re
import subprocess
import time
import unittest

from harness import BINARY, Server


def run(*words):
    return subprocess.run([BINARY, *words], capture_output=True, text=True, timeout=300)


def counts(text):
    """The counters of a line, as numbers by name."""
    return {name: int(value) for name, value in re.findall(r"([a-z-]+) (\d+)(?:,|$)", text)}


class Drive(unittest.TestCase):
    def servers(self):
        server = Server(services=("broker", "users", "manager", "supervisor", "chat", "customers")).start()
        self.addCleanup(server.folder.cleanup)
        self.addCleanup(server.kill)
        return [word for name in ("users", "chat", "customers", "manager") for word in ("--against", server.urls[name])]

    def test_both_worlds_show_the_same(self):
        against = self.servers()
        for scenario in ("accounts/every-step-once", "chat/every-step-once"):
            path = f"scenarios/{scenario}.json5"
            simulated = run("simulate", path, "--seed", "1", "--counts")
            live = run("drive", path, *against)
            self.assertEqual((simulated.returncode, live.returncode), (0, 0), simulated.stdout + live.stdout + live.stderr)
            self.assertEqual(live.stdout.splitlines()[-1], "1 passed, 0 failed")
            line = next(line for line in simulated.stdout.splitlines() if line.startswith(path))
            mine = counts(live.stdout.splitlines()[0].split(";")[1])
            for name, value in counts(line).items():
                # How often somebody asks whether something has come is a matter of time, not of what they see.
                if name not in ("requests", "successes", "presence-heard", "unanswered", "sockets"):
                    self.assertEqual((name, mine.get(name)), (name, value))

    def test_many_people_and_many_sessions(self):
        against = self.servers()
        for scenario, flags in (("accounts/racing-deletes", ["--people", "20"]), ("sessions/coming-and-going", ["--people", "6"])):
            live = run("drive", f"scenarios/{scenario}.json5", *against, "--time", "5s", *flags)
            self.assertEqual(live.returncode, 0, live.stdout + live.stderr)

    def test_a_broken_promise_is_found(self):
        # A server that forgets: everything is behind a second one that starts anew in the middle.
        server = Server().start()
        self.addCleanup(server.folder.cleanup)
        drive = subprocess.Popen([BINARY, "drive", "scenarios/accounts/racing-deletes.json5", "--against", server.url, "--time", "4s"],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(2)
        server.kill()
        other = Server(ports={"users": server.port}).start()
        self.addCleanup(other.folder.cleanup)
        self.addCleanup(other.kill)
        output = drive.communicate(timeout=200)[0]
        self.assertEqual(drive.returncode, 1, output)
        self.assertIn("FAILED", output)

    def test_usage(self):
        for words, wanted in ((["scenarios/chat/every-step-once.json5"], "--against"), (["nowhere.json5", "--against", "http://127.0.0.1:1"], "nowhere.json5"),
                              (["scenarios/chat/every-step-once.json5", "--against", "http://127.0.0.1:1"], "127.0.0.1:1")):
            answer = run("drive", *words)
            self.assertEqual(answer.returncode, 2)
            self.assertIn(wanted, answer.stderr)


if __name__ == "__main__":
    unittest.main()
