"""What operators do while the services keep their tables in PostgreSQL: tables, retention of messages,
and erasure of accounts."""

import json
import os
import tempfile
import time
import unittest

from harness import Client, Server
from postgres import Postgres
from test_chat import Person, befriend
from test_operate_erase import COUNTS, SERVICES, Population, remains
from test_operate_users import changed, command
from test_sessions import until


class OnPostgres(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.postgres = Postgres(fsync="off")
        cls.postgres.access()
        cls.postgres.start()
        cls.addClassCleanup(cls.postgres.stop)

    def folder(self, **settings):
        """A data directory whose configuration names a new database."""
        name = self._testMethodName
        self.postgres.sql(f"CREATE DATABASE {name}", database="postgres")
        self.sql = lambda text: self.postgres.sql(text, database=name)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        url = self.postgres.url(database=name)
        with open(os.path.join(folder.name, "parley.json5"), "w") as file:
            json.dump({"database": url, **settings}, file)
        return folder.name

    def remains(self, name):
        """The tables that have the email or the secret of a customer."""
        tables = self.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        words = [text.encode().hex() for text in (f"{name}@example.com", f"the secret of {name}")]
        words += [f"{name}@example.com", f"the secret of {name}"]
        return [table for table in tables
                if any(self.sql(f"SELECT 1 FROM {table} t WHERE strpos(t::text, '{word}') > 0 LIMIT 1") for word in words)]

    def test_erase(self):
        data = self.folder()
        with Server(services=SERVICES, secret=None, data=data) as server:
            people = Population(server)
            trial = changed(data, "users", "erase", "ann", "--dry-run")
            self.assertEqual({name: trial[name] for name in COUNTS}, COUNTS)
            self.assertEqual(people.customers["ann"].status(), "RUNNING")
            self.assertEqual(changed(data, "users", "erase", "ann"), {**trial, "dry_run": False})
            # The command is a node of the User Service, of which others hear within half a second.
            until(lambda: Client(server.ports["chat"]).send(
                "GET", f"/getContacts?sessionID={people.ids['ann'][1]}")[0] == 401, timeout=5)
            people.check(self)
            code, out, error = command(data, "users", "erase", "ann")
            self.assertEqual((code, out), (1, ""))
            self.assertIn("no account", error)
            people.leave()
            time.sleep(1)
            server.stop()
            # The embedded broker keeps its file.
            self.assertEqual(remains(data)["ann"], set())
            self.assertEqual(self.remains("ann"), [])
            self.assertIn("transcripts", self.remains("bob"))

    def test_views(self):
        data = self.folder()
        code, out, error = command(data, "users", "list")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("the User Service has no tables in PostgreSQL", error)
        server = Server(services=SERVICES, secret=None, data=data).start()
        people = Population(server)

        def rows(*words):
            code, out, error = command(data, *words, "--json")
            self.assertEqual((code, error), (0, ""))
            return json.loads(out)

        def check(status):
            self.assertEqual([row["username"] for row in rows("users", "list")], ["helper", "helper-2", "ann", "bob"])
            self.assertEqual(len(rows("users", "list", "--limit", "2")), 2)
            shown = {row["field"]: row["value"] for row in rows("users", "show", "ann@example.com")}
            self.assertEqual((shown["USER_ID"], shown["USERNAME"], shown["DISABLED"]), (account, "ann", ""))
            self.assertRegex(shown["PASSWORD_HASH"], "^pbkdf2")
            self.assertEqual(
                {row["session_id"] for row in rows("users", "sessions", "ann")},
                {row["session_id"][:6] + "…" for row in sessions})
            supervised = {row["customer"]: row for row in rows("sessions", "list")}
            self.assertEqual(
                [(row["status"], row["messages"]) for row in supervised.values()], [(status, 2)] * 2)
            self.assertEqual(set(supervised), {"ann@example.com", "bob@example.com"})
            exported = json.loads(command(data, "users", "export", "ann")[1])
            self.assertEqual((exported["user_id"], exported["email"]), (account, "ann@example.com"))
            self.assertEqual(exported["chat"]["contacts"], [{"username": "bob", "status": "friend"}])
            self.assertEqual(
                [(one["group_id"], one["name"], one["is_admin"]) for one in exported["chat"]["groups"]],
                [(people.group, "friends", True)])
            self.assertEqual([one["content"] for one in exported["chat"]["messages"]], ["said by ann"])
            self.assertEqual(
                [line["message"] for line in exported["supervised_sessions"]["as_customer"][0]["transcript"]],
                ["the secret of ann", "more"])
            self.assertEqual(
                [line["message"] for line in exported["customer"]["transcript"]], ["the secret of ann", "more"])
            self.assertIsNone(exported["disabled_at"])
            code, out, error = command(data, "users", "show", "nobody")
            self.assertEqual((code, out), (1, ""))
            self.assertIn('no account "nobody"', error)

        account = self.sql("SELECT user_id FROM users WHERE username = 'ann'")[0]
        sessions = [{"session_id": text} for text in self.sql(f"SELECT session_id FROM user_sessions WHERE user_id = '{account}'")]
        self.assertGreater(len(sessions), 0)
        check("running")
        people.leave()
        server.stop()
        # The supervisor host passed its sessions on.
        check("starting")

    def test_erase_while_services_are_down(self):
        """The Chat Service hears of the deletion when it starts. The Customer Server and the User
        Manager would not, so they have to run."""
        data = self.folder()
        server = Server(services=SERVICES, secret=None, data=data).start()
        people = Population(server)
        people.leave()
        server.kill()
        code, out, error = command(data, "users", "erase", "ann@example.com")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("its tables are in PostgreSQL: run this where it runs", error)
        rest = [service for service in SERVICES if service != "chat"]
        with Server(services=rest, secret=None, data=data, ports=server.ports) as without_chat:
            erased = changed(data, "users", "erase", "ann@example.com")
            self.assertEqual(erased["sessions"], COUNTS["sessions"])
            self.assertEqual(erased["transcript_messages"], COUNTS["transcript_messages"])
            without_chat.stop()
        with server:
            until(lambda: Client(server.ports["chat"]).send(
                "GET", f"/getContacts?sessionID={people.ids['bob'][1]}") == (200, []))
            people.check(self)

    def test_retention(self):
        data = self.folder(messageRetention="1m", maximumMessages=3)
        with Server(services=("users", "chat"), secret=None, data=data) as server:
            ann, bob = (Person(server.ports["chat"], name) for name in ("ann", "bob"))
            befriend(ann, bob)
            began = time.monotonic()
            for number in range(1, 6):
                self.assertEqual(ann.send(bob.id, f"message {number}")["seq"], number)

            def history():
                return [(one["seq"], one["content"]) for one in bob.get("/getContactMessages", contact="ann")[1]]

            # Beyond the number they go at the next pass, and for their age after a minute.
            until(lambda: history() == [(number, f"message {number}") for number in (3, 4, 5)])
            self.assertLess(time.monotonic() - began, 30)
            until(lambda: history() == [], timeout=90)
            self.assertGreater(time.monotonic() - began, 59)
            self.assertEqual(ann.send(bob.id, "later")["seq"], 6)
            self.assertEqual(self.sql("SELECT count(*) FROM messages"), ["1"])


if __name__ == "__main__":
    unittest.main()
