"""`parley drive`: the people of a scenario see the same on live servers as in the simulator, and
the oracles check it."""

import re
import subprocess
import time
import unittest

from harness import BINARY, Server


def run(*words):
    return subprocess.run([BINARY, *words], capture_output=True, text=True, timeout=300)


def counts(text):
    """Returns the counters of a line by name."""
    return {name: int(value) for name, value in re.findall(r"([a-z-]+) (\d+)(?:,|$)", text)}


class Drive(unittest.TestCase):
    def servers(self):
        server = Server(services=("broker", "users", "manager", "supervisor", "chat", "customers")).start()
        self.addCleanup(server.folder.cleanup)
        self.addCleanup(server.kill)
        return [word for name in ("users", "chat", "customers", "manager") for word in ("--against", server.urls[name])]

    def test_live_servers_and_the_simulator_agree(self):
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
                # The number of polling requests depends on time, not on what people see. The model
                # of the contract judges simulated runs only.
                if name not in ("requests", "successes", "presence-heard", "unanswered", "sockets", "decided"):
                    self.assertEqual((name, mine.get(name)), (name, value))

    def test_many_people_and_many_sessions(self):
        against = self.servers()
        for scenario, flags in (("accounts/racing-deletes", ["--people", "20"]), ("sessions/coming-and-going", ["--people", "6"])):
            live = run("drive", f"scenarios/{scenario}.json5", *against, "--time", "5s", *flags)
            self.assertEqual(live.returncode, 0, live.stdout + live.stderr)

    def test_a_broken_promise_is_found(self):
        # The server loses its data: it is replaced by an empty one during the run.
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
