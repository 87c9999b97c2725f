"""The User Service on PostgreSQL: the seed's tables, rows put in by hand, failures at the start and
while it serves, and kills of the database under load."""

import datetime
import os
import random
import re
import subprocess
import tempfile
import threading
import time
import unittest

from harness import BINARY, Client, Server, load_until_killed
from postgres import Postgres, Proxy, free_port

ROUNDS = 15


class OnPostgres(Server):
    """A User Service whose tables are in a database of PostgreSQL."""

    def __init__(self, url, *flags, **more):
        super().__init__("--database", url, *flags, **more)


class PostgresUsers(unittest.TestCase):
    settings = {"fsync": "off"}

    @classmethod
    def setUpClass(cls):
        cls.postgres = Postgres(**cls.settings)
        cls.postgres.access()
        cls.postgres.start()
        cls.addClassCleanup(cls.postgres.stop)

    def setUp(self):
        self.database = self.id().rsplit(".", 1)[1].lower()[:60]
        self.postgres.sql(f"CREATE DATABASE {self.database}", database="postgres")
        self.url = self.postgres.url(database=self.database)

    def sql(self, text):
        return self.postgres.sql(text, database=self.database)

    def until(self, condition, seconds=20):
        end = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), end, "the condition did not come true")
            time.sleep(0.1)

    def test_the_seeds_tables(self):
        with OnPostgres(self.url) as server:
            client = Client(server.port)
            self.assertEqual(client.register("ada")[0], 201)
            token = client.login("ada")[1]["access_token"]
            self.assertEqual(client.send("POST", "/add-session", {"session_id": "s1"}, token)[0], 200)
            self.assertEqual(client.send("POST", "/add-session", {"session_id": "s1"}, token)[0], 400)
            columns = self.sql("""
                SELECT table_name, column_name, data_type, character_maximum_length, is_nullable FROM information_schema.columns
                WHERE table_name IN ('users', 'user_sessions')
            """)
            for expected in (
                    "users|user_id|character varying|64|NO", "users|user_email|character varying|255|NO",
                    "users|username|character varying|150|NO", "users|password_hash|character varying|256|NO",
                    "users|salt|character varying|64|NO", "users|created_at|timestamp without time zone||NO",
                    "users|last_login|timestamp without time zone||YES", "user_sessions|session_id|character varying|64|NO",
                    "user_sessions|user_id|character varying|64|NO",
                    "user_sessions|created_at|timestamp without time zone||NO"):
                self.assertIn(expected, columns)
            constraints = self.sql("""
                SELECT conrelid::regclass, pg_get_constraintdef(oid) FROM pg_constraint
                WHERE conrelid IN ('users'::regclass, 'user_sessions'::regclass)
            """)
            for expected in ("users|PRIMARY KEY (user_id)", "users|UNIQUE (user_email)", "users|UNIQUE (username)",
                             "user_sessions|PRIMARY KEY (session_id)",
                             "user_sessions|FOREIGN KEY (user_id) REFERENCES users(user_id) ON DELETE CASCADE"):
                self.assertIn(expected, constraints)
            row = self.sql("SELECT user_id, user_email, username, created_at, last_login IS NOT NULL FROM users")[0].split("|")
            self.assertRegex(row[0], "^[0-9a-f]{64}$")
            self.assertEqual(row[1:3], ["ada@example.com", "ada"])
            self.assertLess(abs(datetime.datetime.fromisoformat(row[3]) - datetime.datetime.utcnow()), datetime.timedelta(minutes=1))
            self.assertEqual(row[4], "t")
            sessions = client.send("GET", "/get-sessions", token=token)[1]["sessions"]
            self.assertEqual([session["session_id"] for session in sessions], ["s1"])
            self.assertTrue(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", sessions[0]["created_at"]), sessions)
            self.assertEqual(client.send("DELETE", "/delete-user", token=token)[0], 200)
            self.assertEqual(self.sql("SELECT count(*) FROM user_sessions"), ["0"])

    def test_rows_put_in_by_hand(self):
        words = subprocess.run([BINARY, "hash-password"], input="password123\n", capture_output=True, text=True).stdout.split()
        digest, salt = words[1], words[3]
        with OnPostgres(self.url) as server:
            client = Client(server.port)
            self.sql(f"""
                INSERT INTO users (user_id, user_email, username, password_hash, salt, created_at)
                VALUES (repeat('ab', 32), 'hand@example.com', 'Hand', '{digest}', '{salt}', now())
            """)
            self.assertEqual(client.register("HAND")[0], 400)
            self.sql("INSERT INTO user_sessions (session_id, user_id, created_at) VALUES ('by-hand', repeat('ab', 32), now())")
            for name in ("hand", "hand@example.com"):
                status, answer = client.send("POST", "/login", {"user": name, "password": "password123"})
                self.assertEqual(status, 200, answer)
            token = answer["access_token"]
            sessions = client.send("GET", "/get-sessions", token=token)[1]["sessions"]
            self.assertEqual([session["session_id"] for session in sessions], ["by-hand"])
            # The cascade.
            self.sql("DELETE FROM users WHERE username = 'Hand'")
            self.assertEqual(self.sql("SELECT count(*) FROM user_sessions"), ["0"])
            self.assertEqual(client.send("GET", "/get-sessions", token=token)[0], 401)

    def refused(self, url, reason, services=("users",), **more):
        ran = subprocess.run([BINARY, "serve", *services, "--users-port", "0", "--data", self.folder(), "--database", url],
                             capture_output=True, text=True, timeout=30, **more)
        self.assertNotEqual(ran.returncode, 0)
        self.assertIn(reason, ran.stderr)
        self.assertNotIn("wrong-secret", ran.stderr)

    def folder(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return folder.name

    def test_errors_at_the_start(self):
        self.refused(self.postgres.url("owner:wrong-secret", self.database), 'password authentication failed for user "owner"')
        self.refused(self.postgres.url(database="none"), 'database "none" does not exist')
        self.refused(self.postgres.url(port=free_port()), "the connection was refused")
        self.refused(self.url + "?sslmode=require", "does not support TLS")
        self.refused(self.url + "?sslmod=disable", "sslmode")
        self.refused("postgresql://owner:x@h:port/db", 'the port "port"')
        self.sql(f"ALTER DATABASE {self.database} SET default_transaction_read_only = on")
        self.refused(self.url, "the server is read-only")
        self.postgres.sql(f"ALTER DATABASE {self.database} RESET default_transaction_read_only", database="postgres")
        with OnPostgres(self.url):
            self.sql("UPDATE schema_versions SET version = 99")
        self.refused(self.url, "use a newer version")

    def test_passwords_outside_the_url(self):
        folder = self.folder()
        url = self.postgres.url("owner", self.database)
        passwords = os.path.join(folder, "pgpass")
        with open(passwords, "w") as file:
            file.write(f"127.0.0.1:{self.postgres.port}:*:owner:secret\n")
        os.chmod(passwords, 0o644)
        self.refused(url, "chmod 600", env={**os.environ, "PGPASSFILE": passwords})
        os.chmod(passwords, 0o600)
        for variables in ({"PGPASSWORD": "secret"}, {"PGPASSFILE": passwords}):
            os.environ.update(variables)
            try:
                with self.subTest(variables), OnPostgres(url) as server:
                    self.assertEqual(Client(server.port).send("GET", "/health")[0], 200)
            finally:
                for name in variables:
                    del os.environ[name]

    def test_unavailable_and_back(self):
        with OnPostgres(self.url) as server:
            client = Client(server.port)
            self.assertEqual(client.register("ada")[0], 201)
            self.postgres.kill()
            self.until(lambda: client.send("GET", "/health")[0] == 503)
            self.assertEqual(client.login("ada")[0], 503)
            self.postgres.start()
            self.until(lambda: client.send("GET", "/health")[0] == 200)
            self.assertEqual(client.login("ada")[0], 200)

    def test_kills_of_the_database_under_load(self):
        with OnPostgres(self.url) as server:
            def crash(chance):
                self.postgres.kill()
                time.sleep(chance.uniform(0, 0.5))
            self.kill(server, crash, self.postgres.start)

    def test_kills_of_the_service_under_load(self):
        with OnPostgres(self.url) as server:
            self.kill(server, lambda chance: server.kill(), server.start)

    def kill(self, server, crash, restart):
        """Crashes something in rounds under load. Every acknowledged write survives."""
        seed = random.randrange(2**32)
        print("seed", seed)
        chance = random.Random(seed)
        users, sessions, writes = [], {}, 0
        for number in range(ROUNDS):
            load_until_killed(
                server.port, f"u{number}", chance.uniform(0.2, 0.6), lambda: crash(chance), users, sessions)
            restart()
            health = Client(server.port)
            self.until(lambda: health.send("GET", "/health")[0] == 200)
            self.check(server.port, users, sessions)
            writes += len(users) + sum(map(len, sessions.values()))
            users.clear()
            sessions.clear()
        self.assertGreater(writes, 10 * ROUNDS)
        print(writes, "acknowledged writes survived", ROUNDS, "kills")

    def check(self, port, users, sessions):
        client = Client(port)
        for user in users:
            status, answer = client.login(user)
            self.assertEqual(status, 200, (user, answer))
            stored = client.send("GET", "/get-sessions", token=answer["access_token"])[1]["sessions"]
            # A session whose request was not answered may be there, too.
            self.assertLessEqual(set(sessions.get(user, [])), {entry["session_id"] for entry in stored}, user)

    def test_writes_whose_commit_has_no_answer(self):
        state = {"marker": None, "armed": False, "cuts": 0}

        def watch(data):
            if state["marker"] and state["marker"] in data:
                state["armed"] = True
            if not state["armed"] or b"\0commit\0" not in data:
                return None
            state.update(marker=None, armed=False, cuts=state["cuts"] + 1)
            return state["verdict"]
        proxy = Proxy(self.postgres.port, watch)
        self.addCleanup(proxy.close)
        for verdict in ("cut", "cut later"):
            # Each server has new connections, on which statements are prepared in words.
            with OnPostgres(self.postgres.url(database=self.database, port=proxy.port)) as server:
                client = Client(server.port)
                name = verdict.replace(" ", "-")
                state.update(verdict=verdict, marker=b"INSERT INTO users")
                self.assertEqual(client.register(name)[0], 201)
                self.assertIsNone(state["marker"])
                login = client.login(name)[1]
                token = login["access_token"]
                for marker, method, path, body in (
                        (b"INSERT INTO used_refresh_tokens", "POST", "/refresh", {"refresh_token": login["refresh_token"]}),
                        (b"INSERT INTO user_sessions", "POST", "/add-session", {"session_id": name}),
                        (b"DELETE FROM user_sessions", "DELETE", "/delete-session", {"session_id": name}),
                        (b"DELETE FROM users", "DELETE", "/delete-user", None)):
                    with self.subTest(verdict=verdict, path=path):
                        state["marker"] = marker
                        status, answer = client.send(method, path, body, token)
                        self.assertEqual(status, 200, answer)
                        self.assertIsNone(state["marker"], "the commit was not cut")
                self.assertEqual(self.sql("SELECT count(*) FROM users"), ["0"])
        self.assertEqual(state["cuts"], 10)

    def test_another_adds_the_session_while_a_commit_has_no_answer(self):
        state = {"seen": False, "cut": False}
        held, go_on = threading.Event(), threading.Event()
        self.addCleanup(go_on.set)

        def watch(data):
            if state["cut"]:
                held.set()
                go_on.wait(20)
            state["seen"] = state["seen"] or b"INSERT INTO user_sessions" in data
            if not state["seen"] or state["cut"] or b"\0commit\0" not in data:
                return None
            state["cut"] = True
            return "cut"
        proxy = Proxy(self.postgres.port, watch)
        self.addCleanup(proxy.close)
        with OnPostgres(self.postgres.url(database=self.database, port=proxy.port)) as one, OnPostgres(self.url) as other:
            client = Client(other.port)
            self.assertEqual(client.register("ada")[0], 201)
            token = client.login("ada")[1]["access_token"]
            answers = []
            add = ("POST", "/add-session", {"session_id": "s1"}, token)
            thread = threading.Thread(target=lambda: answers.append(Client(one.port).send(*add)[0]))
            thread.start()
            self.assertTrue(held.wait(20))
            answers.append(client.send(*add)[0])
            go_on.set()
            thread.join()
            # The session was added once, by the other node.
            self.assertEqual(answers, [200, 400])

    def test_two_nodes_start_together_and_serve(self):
        servers = [OnPostgres(self.url) for _ in range(3)]
        threads = [threading.Thread(target=server.start) for server in servers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        try:
            clients = [Client(server.port) for server in servers]
            self.assertEqual(clients[0].register("ada")[0], 201)
            self.assertEqual(clients[1].register("ada")[0], 400)
            # A refresh token works once, on whatever node.
            token = clients[1].login("ada")[1]["refresh_token"]
            answers = []
            threads = [threading.Thread(target=lambda c=client: answers.append(c.send("POST", "/refresh", {"refresh_token": token})[0]))
                       for client in clients]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(answers.count(200), 1, answers)
            # Guesses are counted together, and a restart forgets none.
            wrong = {"user": "ada", "password": "a wrong guess"}
            for number in range(10):
                self.assertEqual(clients[number % 3].send("POST", "/login", wrong)[0], 401)
            for client in clients:
                self.assertEqual(client.send("POST", "/login", wrong)[0], 429)
            self.assertEqual(clients[0].login("ada")[0], 429)
            servers[0].stop()
            servers[0].start()
            self.assertEqual(Client(servers[0].port).login("ada")[0], 429)
            self.sql("UPDATE login_failures SET times = '1,2,3'")
            self.assertEqual(clients[1].login("ada")[0], 200)
            self.assertEqual(self.sql("SELECT count(*) FROM login_failures"), ["0"])
        finally:
            for server in servers:
                server.__exit__()


if __name__ == "__main__":
    unittest.main()
