"""Every command in the documents and in the output of the program works exactly as written."""

import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import unittest

import documents
from documents import ROOT
from harness import BINARY, PORT_FLAGS, Server
from postgres import Postgres

SERVICES = ("broker", "users", "manager", "supervisor", "chat", "customers")
PORTS = {"users": 8001, "chat": 5000, "customers": 5500, "manager": 20000}


class Documents(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.here = pathlib.Path(cls.folder.name)
        for name in ("scenarios", "scripts", ".ci"):
            (cls.here / name).symlink_to(ROOT / name)
        (cls.here / "bin").mkdir()
        (cls.here / "bin/parley").symlink_to(BINARY)
        cls.environment = {**os.environ, "PATH": f"{cls.here / 'bin'}:{os.environ['PATH']}"}
        cls.server = Server(services=SERVICES).start()

    @classmethod
    def tearDownClass(cls):
        cls.server.kill()
        cls.server.folder.cleanup()
        cls.folder.cleanup()

    def at_our_ports(self, text):
        """Replaces the standard ports in the text with those of the test's server."""
        for name, port in PORTS.items():
            text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{self.server.ports[name]}")
        return text.replace("amqp://parley:secret@broker.internal/", self.server.urls["amqp"])

    def in_our_folders(self, command):
        """Replaces the folders of an installation with those of the test's server."""
        (self.here / "backups").mkdir(exist_ok=True)
        command = command.replace("/var/lib/parley-", f"{self.here}/parley-").replace("/var/lib/parley", self.server.data)
        return command.replace("/backups/", f"{self.here}/backups/")

    def at_our_database(self, command):
        """Replaces the servers of PostgreSQL with one of the test, behind one that is down."""
        if not re.search(r"createdb|postgresql://", command):
            return command
        if "PGPORT" not in self.environment:
            postgres = Postgres().start()
            self.addCleanup(postgres.stop)
            self.environment.update(PGHOST="127.0.0.1", PGPORT=str(postgres.port), PGUSER="owner", PGPASSWORD="secret")
        port = self.environment["PGPORT"]
        return command.replace("parley@db1,db2:5433", f"owner@127.0.0.1:1,127.0.0.1:{port}")

    def run_command(self, command, timeout=240):
        return subprocess.run(["bash", "-c", command], cwd=self.here, env=self.environment, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout)

    def serves(self, command):
        """Runs `parley serve` on free ports with its own folder. Returns its output up to
        `ready`."""
        flags = " ".join(f"{flag} 0" for flag in PORT_FLAGS.values())
        with tempfile.TemporaryDirectory() as data:
            command = re.sub(r" --data \S+", "", command) + f" --data {data} {flags}"
            process = subprocess.Popen(["bash", "-c", "exec env " + command], cwd=self.here, env=self.environment, text=True,
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            try:
                lines = []
                while not lines or lines[-1] not in ("ready\n", ""):
                    lines.append(process.stdout.readline())
                self.assertEqual(lines[-1], "ready\n", command)
            finally:
                process.send_signal(signal.SIGTERM)
                self.assertEqual(process.wait(timeout=30), 0, command)
                process.stdout.close()
            return "".join(lines)

    def check(self, command):
        """Runs a shortened command, which has to succeed, and returns its output."""
        if command.startswith(documents.LONG) or command == "scripts/run":
            script = ROOT / command.split()[0]
            self.assertTrue(os.access(script, os.X_OK), command)
            subprocess.run(["bash", "-n", script], check=True)
            return ""
        if command.startswith(("cd Examples", "swift run")):
            # scripts/example builds the package in Examples and runs its products.
            script = (ROOT / "scripts/example").read_text()
            for product in re.findall(r"^swift run (\w+)", command):
                self.assertIn(f'"$bin/{product}"', script)
            return ""
        command = documents.bounded(self.at_our_database(self.in_our_folders(self.at_our_ports(command))))
        if re.match(r"(\w+=\S+ )*parley serve", command) and "--check" not in command:
            return self.serves(command)
        result = self.run_command(command)
        # The short search may find the planted bug. Then it fails, as it should.
        expected = (0, 1) if "fuzz --plant" in command else (0,)
        self.assertIn(result.returncode, expected, f"{command}\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}")
        if command.startswith("curl"):
            # curl also succeeds when the service refuses the request.
            self.assertNotRegex(result.stdout, r'"(detail|error|ERROR|DETAIL)"', command)
        return result.stdout

    def use_own_server(self):
        """Starts a server for this test only, without the data of other tests."""
        self.server = Server(services=SERVICES).start()
        self.addCleanup(self.server.folder.cleanup)
        self.addCleanup(self.server.kill)

    def test_commands_of_the_documents(self):
        self.use_own_server()
        for path in documents.DOCUMENTS:
            if path.name == "walkthrough.md":
                continue
            last = ""
            for language, text in documents.blocks(path):
                self.assertIn(language, documents.LANGUAGES, f"{path.name}: a block names its language")
                if language == "sh":
                    for command in documents.commands(text):
                        with self.subTest(path.name, command=command):
                            last = self.check(command)
                elif language == "text" and last.endswith("ready\n"):
                    def lines(text):
                        return sorted(re.sub(r":\d+$", "", line) for line in text.split("\n"))
                    self.assertEqual(lines(last), lines(text))
                    last = ""
            for command in documents.inline(path):
                with self.subTest(path.name, inline=command):
                    # A single word is the name of a command.
                    self.check(re.sub(r"^parley ([a-z-]+)$", r"parley help \1", command))

    def test_json5_of_the_documents(self):
        """Blocks of JSON5 are valid scenarios or configurations."""
        for path in documents.DOCUMENTS:
            for number, (language, text) in enumerate(documents.blocks(path)):
                if language != "json5":
                    continue
                with self.subTest(path.name, block=number):
                    file = self.here / "block.json5"
                    file.write_text(text)
                    kind = "simulate block.json5" if "people" in text else "serve --check --config block.json5"
                    result = self.run_command("parley " + kind)
                    self.assertEqual(result.returncode, 0, result.stdout[-2000:] + result.stderr[-2000:])

    def test_walkthrough(self):
        """One shell runs all commands. The output equals the document's, with `…` for any text."""
        self.use_own_server()
        path = ROOT / "docs/walkthrough.md"
        mark = "--- next block"
        script, expected = ["set -eu -o pipefail"], []
        for language, text in documents.blocks(path):
            if language == "sh":
                if documents.commands(text) == ["scripts/run serve"]:
                    continue
                script += [self.at_our_ports(text), f"echo; echo '{mark}'"]
                expected.append(None)
            else:
                expected[-1] = self.at_our_ports(text).strip()
        result = self.run_command("\n".join(script), timeout=60)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        printed = [part.strip() for part in result.stdout.split(mark)][:-1]
        self.assertEqual(len(printed), len(expected))
        for found, wanted in zip(printed, expected):
            if wanted is None:
                self.assertEqual(found, "")
            else:
                pattern = ".*".join(re.escape(part) for part in wanted.split("…"))
                self.assertRegex(found, re.compile(f"^{pattern}$", re.S))

    def test_hints_of_the_scripts(self):
        text = (ROOT / "scripts/run").read_text()
        hints = re.findall(r"^  (scripts/run [^\n]*?)(?:   .*)?$", text[text.index("Next:"):], re.M)
        self.assertGreaterEqual(len(hints), 3)
        for hint in hints:
            with self.subTest(hint):
                self.check(hint)

    def test_hints_of_the_help(self):
        overview = self.check("parley help")
        names = re.findall(r"^parley ([a-z-]+)", overview, re.M)
        self.assertGreaterEqual(len(names), 8)
        for name in names:
            with self.subTest(name):
                text = self.check(f"parley help {name}")
                self.assertTrue(text.startswith(f"parley {name}"), text)
                # The command accepts each flag without a value, and refuses an unknown one.
                for flag in re.findall(r"^  --([a-z-]+)   ", text, re.M):
                    result = self.run_command(f"parley {name} --{flag} --no-such-flag")
                    self.assertIn("no-such-flag", result.stderr, flag)

    def test_the_replay_of_a_failure(self):
        """A failed scenario prints the command that replays the failure, with the name of the
        program as it was started."""
        # A grace of one millisecond breaks a promise about the end of the run.
        (self.here / "fails.json5").write_text(
            "{ name: 'fails', seed: 1, run: '1s', grace: '1ms', people: [{ name: 'ann', thinkTime: '20ms' }] }")
        for start, program in (("parley", "parley"), (BINARY, BINARY), ("bin/parley", "bin/parley"),
                               ("PARLEY_COMMAND=scripts/run parley", "scripts/run")):
            with self.subTest(start):
                first = self.run_command(f"{start} simulate fails.json5")
                self.assertEqual(first.returncode, 1, first.stdout + first.stderr)
                replay = re.search(r"replay: (.*)", first.stdout)[1]
                self.assertTrue(replay.startswith(f"{program} simulate fails.json5"), replay)
                again = self.run_command(replay.replace("scripts/run", start))
                self.assertEqual(again.returncode, 1, replay + again.stderr)
                failure = first.stdout[first.stdout.index("FAILED"):]
                self.assertEqual(failure, again.stdout[again.stdout.index("FAILED"):])

    def test_commands_of_the_docs_pages(self):
        """Each curl command of `/docs` reaches its route with a body of the right type."""
        import html
        import urllib.request
        for service in PORTS:
            page = urllib.request.urlopen(self.server.urls[service] + "/docs").read().decode()
            found = [html.unescape(text) for text in re.findall(r"<pre[^>]*>(curl [^<]*)</pre>", page)]
            paths = json.load(urllib.request.urlopen(self.server.urls[service] + "/openapi.json"))["paths"]
            self.assertEqual(len(found), sum(len(operations) for operations in paths.values()))
            for command in found:
                with self.subTest(service, command=command):
                    result = self.run_command("ACCESS_TOKEN=none; " + command + " -o answer -w '%{http_code}'", timeout=30)
                    # --max-time ends the stream of events.
                    self.assertIn(result.returncode, (0, 28) if "--max-time" in command else (0,))
                    self.assertIn(f"127.0.0.1:{self.server.ports[service]}", command)
                    self.assertNotIn(result.stdout, ("405", "415", "421", "500"))
                    if result.stdout == "400":
                        # The values may be taken or unknown, but no field is missing.
                        self.assertNotRegex((self.here / "answer").read_text(), "missing|must be|must have|not JSON")


if __name__ == "__main__":
    unittest.main()
