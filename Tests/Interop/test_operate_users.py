"""`parley users disable` and its like, over running services and on the files of stopped ones."""

import json
import os
import ssl
import stat
import subprocess
import tempfile
import time
import unittest
import urllib.request

from harness import BINARY, Client, Server, SocketClient
from test_sessions import until

SERVICES = ("broker", "users", "chat")


def command(data, *words, stdin=None):
    done = subprocess.run([BINARY, *words, "--data", data], capture_output=True, text=True, timeout=60, input=stdin)
    return done.returncode, done.stdout, done.stderr


def changed(data, *words, stdin=None):
    code, out, error = command(data, *words, "--json", stdin=stdin)
    assert code == 0, error
    return json.loads(out)


def check_refusals(test, data, group, *cases):
    """Runs commands of a group. A case has an exit code, a part of the error, and the words."""
    for code, text, words in cases:
        found, out, error = command(data, group, *words)
        test.assertEqual((found, out), (code, ""), words)
        test.assertIn(text, error)


class Running(unittest.TestCase):
    token = ()

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.token, services=SERVICES, secret=None).start()
        cls.addClassCleanup(cls.server.folder.cleanup)
        cls.addClassCleanup(cls.server.kill)

    def setUp(self):
        self.users, self.chat = Client(self.server.ports["users"]), Client(self.server.ports["chat"])
        self.name = self._testMethodName.replace("_", "-")
        self.assertEqual(self.users.register(self.name)[0], 201)

    def change(self, *words, stdin=None):
        return changed(self.server.data, "users", *words, stdin=stdin)

    def login(self, password="password123"):
        return self.users.send("POST", "/login", {"user": self.name, "password": password})

    def test_disabled_user_loses_sockets(self):
        tokens = self.login()[1]
        session = self.chat.send("POST", "/login", {"username": self.name, "password": "password123"})[1]["sessionID"]
        with_socket = SocketClient(reconnection=False)
        with_socket.connect(self.server.urls["chat"], auth={"sessionID": session}, transports=["websocket"])
        trial = self.change("disable", self.name, "--dry-run")
        self.assertEqual((trial["dry_run"], trial["disabled"], trial["sessions_ended"]), (True, True, 1))
        self.assertEqual(self.login()[0], 200)
        begin = time.monotonic()
        done = self.change("disable", self.name)
        self.assertEqual((done["dry_run"], done["disabled"], done["sessions_ended"]), (False, True, 1))
        until(lambda: not with_socket.connected, timeout=5)
        self.assertLess(time.monotonic() - begin, 5)
        self.assertEqual(self.login(), (401, {"detail": "the account is disabled"}))
        self.assertEqual(self.chat.send("POST", "/login", {"username": self.name, "password": "password123"})[0], 401)
        self.assertEqual(self.users.send("POST", "/refresh", {"refresh_token": tokens["refresh_token"]})[0], 401)
        self.assertEqual(self.users.send("GET", "/get-sessions", token=tokens["access_token"])[0], 401)
        self.assertEqual(self.chat.send("GET", f"/getContacts?sessionID={session}")[0], 401)
        shown = json.loads(command(self.server.data, "users", "show", self.name, "--json")[1])
        self.assertRegex({row["field"]: row["value"] for row in shown}["DISABLED"], r"^20\d\d-.*Z$")
        self.assertFalse(self.change("enable", self.name)["disabled"])
        self.assertEqual(self.login()[0], 200)
        self.assertEqual(self.users.send("GET", "/get-sessions", token=tokens["access_token"])[0], 401)

    def test_revoke(self):
        access = self.login()[1]["access_token"]
        self.users.send("POST", "/add-session", {"session_id": "an ended session".replace(" ", "-")}, access)
        self.assertEqual(self.change("revoke", f"{self.name}@example.com")["sessions_ended"], 1)
        self.assertEqual(self.users.send("GET", "/get-sessions", token=access)[0], 401)
        self.assertEqual(self.users.send("GET", "/get-sessions", token=self.login()[1]["access_token"])[0], 200)

    def test_set_password(self):
        done = self.change("set-password", self.name, stdin="correct horse\n")
        self.assertEqual(done["username"], self.name)
        self.assertEqual(self.login()[0], 401)
        self.assertEqual(self.login("correct horse")[0], 200)
        code, out, error = command(self.server.data, "users", "set-password", self.name, stdin="short\n")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("password", error)

    def test_table_and_errors(self):
        code, out, _ = command(self.server.data, "users", "enable", self.name)
        head, row = out.splitlines()
        self.assertEqual((code, head.split()), (0, ["USER_ID", "USERNAME", "EMAIL", "DISABLED", "SESSIONS_ENDED"]))
        self.assertEqual(row.split()[1:], [self.name, f"{self.name}@example.com", "false", "0"])
        check_refusals(
            self, self.server.data, "users", (1, "no account has this id", ("disable", "nobody")),
            (2, "parley users disable USER", ("disable",)), (2, "did you mean \"disable\"?", ("disabel", "x")),
            (2, "unknown flag --limit", ("disable", "x", "--limit", "3")),
            (2, "unknown flag --dry-run", ("list", "--dry-run")))

    def test_only_the_owner_reads_the_operators_token(self):
        path = os.path.join(self.server.data, "operator-users.json")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        with open(path) as file:
            token = json.load(file)["token"]
        body = {"user": self.name}
        self.assertEqual(self.users.send("POST", "/operator/users/enable", body, token)[0], 200)
        # Loopback gives no access, and the token opens nothing else.
        self.assertEqual(self.users.send("POST", "/operator/users/enable", body)[0], 401)
        self.assertEqual(self.users.send("POST", "/operator/users/enable", body, self.login()[1]["access_token"])[0], 401)
        if self.token:
            self.assertEqual(self.users.send("GET", "/services/last-event", token=token)[0], 401)
            self.assertEqual(self.users.send("POST", "/operator/users/enable", body, self.token[1])[0], 200)


class RunningWithToken(Running):
    token = ("--service-token", "a service token of sufficient length")


class WithTLS(unittest.TestCase):
    def test_tls(self):
        with Server("--tls-self-signed", services=("users",)) as server:
            context = ssl.create_default_context(cafile=os.path.join(server.data, "tls-self-signed.crt"))

            def post(path, body):
                request = urllib.request.Request(server.urls["users"] + path, json.dumps(body).encode(),
                                                 {"Content-Type": "application/json"})
                try:
                    return urllib.request.urlopen(request, context=context).status
                except urllib.error.HTTPError as error:
                    return error.code

            account = {"email": "ann@example.com", "username": "ann", "password": "password123"}
            self.assertEqual(post("/register", account), 201)
            self.assertTrue(changed(server.data, "users", "disable", "ann")["disabled"])
            self.assertEqual(post("/login", {"user": "ann", "password": "password123"}), 401)


class Stopped(unittest.TestCase):
    def test_on_the_files(self):
        with tempfile.TemporaryDirectory() as data:
            for end in ("stop", "kill"):
                server = Server(data=data).start()
                client = Client(server.port)
                name = f"ann-{end}"
                client.register(name)
                access = client.login(name)[1]["access_token"]
                client.send("POST", "/add-session", {"session_id": f"session-{end}"}, access)
                getattr(server, end)()
                before = sorted(os.listdir(data))
                self.assertEqual(changed(data, "users", "disable", name, "--dry-run")["sessions_ended"], 1)
                self.assertEqual(changed(data, "users", "disable", name)["sessions_ended"], 1)
                self.assertEqual(changed(data, "users", "set-password", name, stdin="correct horse\n")["disabled"], True)
                self.assertEqual(sorted(set(os.listdir(data)) - set(before) - {"accounts.db-wal"}), [])
                server = Server(data=data).start()
                client = Client(server.port)
                login = {"user": name, "password": "correct horse"}
                self.assertEqual(client.send("POST", "/login", login), (401, {"detail": "the account is disabled"}))
                self.assertEqual(client.send("GET", "/get-sessions", token=access)[0], 401)
                changed(data, "users", "enable", name)
                self.assertEqual(client.send("POST", "/login", login)[0], 200)
                server.stop()
                self.assertEqual(command(data, "check")[0], 0)

    def test_no_data(self):
        with tempfile.TemporaryDirectory() as data:
            code, out, error = command(data, "users", "disable", "ann")
            self.assertEqual((code, out), (1, ""))
            self.assertIn("no User Service runs there", error)
            self.assertEqual(os.listdir(data), [])
            self.assertEqual(command(data + "/none", "users", "disable", "ann")[0], 2)


if __name__ == "__main__":
    unittest.main()
