"""Our client of PostgreSQL against the real server: logins, refusals, lost connections, conflicts,
commits without an answer."""

import json
import os
import socket
import struct
import subprocess
import threading
import time
import unittest

from postgres import Postgres, Proxy, free_port

PROBE = os.environ["POSTGRES_PROBE_BINARY"]
INSERT = "INSERT INTO probe VALUES ($1, 1)"
# The Bind of the prepared statement that commits, to the unnamed portal.
COMMIT = b"\0commit\0"


class Probe:
    """A process that runs transactions on a server. See `Tests/Support/PostgresProbe`."""

    def __init__(self, url, *flags):
        self.process = subprocess.Popen([PROBE, url, *flags], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)

    def send(self, *statements, pause_ms=0):
        request = {"statements": statements, "pause_ms": pause_ms} if statements else {}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()

    def answer(self):
        return json.loads(self.process.stdout.readline())

    def run(self, *statements, **more):
        self.send(*statements, **more)
        return self.answer()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        finally:
            self.process.kill()
            self.process.stdout.close()


class PostgresCase(unittest.TestCase):
    settings = {}
    access = ()

    @classmethod
    def setUpClass(cls):
        cls.server = Postgres(fsync="off", deadlock_timeout="100ms", **cls.settings)
        cls.server.access(*cls.access)
        cls.server.start()
        cls.server.sql("CREATE DATABASE parley", database="postgres")
        cls.addClassCleanup(cls.server.stop)

    def refused(self, url, reason, kind="unavailable", statement=("SELECT 1", "i")):
        with Probe(url) as probe:
            answer = probe.run(statement)
        self.assertEqual(answer.get("error"), kind, answer)
        self.assertIn(reason, answer["reason"])


class Logins(PostgresCase):
    access = ("all scram scram-sha-256", "all old md5", "all plain password", "all anyone trust", "all nobody reject")

    def test_methods(self):
        self.server.sql("""
            CREATE ROLE scram LOGIN SUPERUSER PASSWORD 'p:w@é ';
            CREATE ROLE plain LOGIN SUPERUSER PASSWORD 'plain'; CREATE ROLE anyone LOGIN SUPERUSER;
            CREATE ROLE nobody LOGIN; SET password_encryption = md5; CREATE ROLE old LOGIN SUPERUSER PASSWORD 'old'
        """)
        for login in ("owner:secret", "scram:p%3Aw%40%C3%A9%20", "old:old", "plain:plain", "anyone"):
            with self.subTest(login), Probe(self.server.url(login)) as probe:
                self.assertEqual(probe.run(("SELECT 1", "i")), {"ok": [[[1]]]})
        for login in ("scram:wrong", "old:wrong", "plain:wrong"):
            with self.subTest(login):
                self.refused(self.server.url(login), "28P01")
        self.refused(self.server.url("nobody"), "28000")
        self.refused(self.server.url("owner"), "none is given")

    def test_refusals(self):
        self.refused(self.server.url(database="none"), 'database "none" does not exist')
        self.refused(self.server.url(port=free_port()), "the connection was refused")
        self.server.sql("CREATE DATABASE ascii ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
        self.refused(self.server.url(database="ascii"), "encoding SQL_ASCII")
        self.server.sql("CREATE DATABASE readonly")
        self.server.sql("ALTER DATABASE readonly SET default_transaction_read_only = on")
        self.refused(self.server.url(database="readonly"), "read-only")
        self.server.sql("CREATE DATABASE newer")
        with Probe(self.server.url(database="newer")) as probe:
            self.assertIn("ok", probe.run(("SELECT 1", "i")))
        self.server.sql("UPDATE schema_versions SET version = 99", database="newer")
        self.refused(self.server.url(database="newer"), "use a newer version", kind="newerSchema")
        self.server.sql("CREATE ROLE one LOGIN SUPERUSER PASSWORD 'one'; CREATE ROLE few LOGIN PASSWORD 'few' CONNECTION LIMIT 0")
        self.refused(self.server.url("few:few"), "53300")

    def test_a_server_that_is_too_old(self):
        def message(kind, payload):
            return kind + struct.pack(">i", len(payload) + 4) + payload
        listener = socket.create_server(("127.0.0.1", 0))
        greeting = (message(b"R", struct.pack(">i", 0)) + message(b"S", b"server_version\x0012.22\0")
                    + message(b"K", struct.pack(">i", 1) + b"abcd") + message(b"Z", b"I"))

        def serve():
            connection, _ = listener.accept()
            connection.recv(65536)
            connection.sendall(greeting)
        threading.Thread(target=serve, daemon=True).start()
        self.refused(self.server.url(port=listener.getsockname()[1], more="?sslmode=disable"), "PostgreSQL 12 is too old")
        listener.close()

    def test_a_dead_host_is_passed_over(self):
        url = f"postgresql://owner:secret@127.0.0.1:{free_port()},127.0.0.1:{self.server.port}/parley"
        with Probe(url) as probe:
            self.assertEqual(probe.run(("SELECT 1", "i")), {"ok": [[[1]]]})

    def test_values(self):
        with Probe(self.server.url()) as probe:
            statement = ("SELECT '2026-11-28T08:52:42.176714Z'::timestamp, '\\x00ff'::bytea, true, NULL::int8, 'é'::varchar(9), "
                         "-5::int2, gen_random_uuid() IS NOT NULL", "tbiitii")
            self.assertEqual(probe.run(statement), {"ok": [[["2026-11-28T08:52:42.176714Z", "00ff", 1, None, "é", -5, 1]]]})
            self.assertEqual(probe.run(("SELECT $1::bytea, $2::bigint + 1, $3::timestamp", "bit", "\\x01", 41, "2026-01-02T03:04:05Z")),
                             {"ok": [[["01", 42, "2026-01-02T03:04:05.000000Z"]]]})
            self.assertEqual(probe.run(("SELECT 'x'::varchar(1) WHERE $1 = 'a'", "t", "b"))["ok"], [[]])


class Transactions(PostgresCase):
    def setUp(self):
        with Probe(self.server.url()) as probe:
            probe.run(("DELETE FROM probe", ""))

    def rows(self):
        return self.server.sql("SELECT id, number FROM probe ORDER BY id")

    def test_errors_of_statements(self):
        with Probe(self.server.url(), "--statement-timeout-ms", "300") as probe:
            self.assertIn("ok", probe.run((INSERT, "", "a")))
            self.assertEqual(probe.run((INSERT, "", "b"), (INSERT, "", "a"))["error"], "constraint")
            self.assertEqual(self.rows(), ["a|1"])
            self.assertIn("57014", probe.run(("SELECT pg_sleep(5)::text", "t"))["reason"])
            self.assertIn("42P01", probe.run(("SELECT * FROM none", "t"))["reason"])
            self.assertEqual(probe.run(("SELECT number FROM probe", "i")), {"ok": [[[1]]]})

    def test_a_lock_that_is_not_released(self):
        with Probe(self.server.url()) as holder, Probe(self.server.url(), "--statement-timeout-ms", "300") as probe:
            holder.run((INSERT, "", "a"))
            holder.send(("UPDATE probe SET number = 2", ""), ("SELECT 1", "i"), pause_ms=1000)
            time.sleep(0.3)
            self.assertEqual(probe.run(("UPDATE probe SET number = 3", ""))["error"], "unavailable")
            self.assertIn("ok", holder.answer())
            self.assertEqual(self.rows(), ["a|2"])

    def test_a_deadlock_is_run_again(self):
        with Probe(self.server.url()) as one, Probe(self.server.url()) as other:
            one.run((INSERT, "", "a"), (INSERT, "", "b"))
            add = "UPDATE probe SET number = number + 1 WHERE id = $1"
            for _ in range(3):
                one.send((add, "", "a"), (add, "", "b"), pause_ms=200)
                other.send((add, "", "b"), (add, "", "a"), pause_ms=200)
                self.assertIn("ok", one.answer())
                self.assertIn("ok", other.answer())
        self.assertEqual(self.rows(), ["a|7", "b|7"])

    def test_killed_backends(self):
        kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'parley'"
        with Probe(self.server.url()) as probe:
            # Idle connections.
            probe.run(("SELECT 1", "i"))
            self.assertEqual(self.server.sql(kill), ["t"])
            self.assertIn("ok", probe.run((INSERT, "", "a")))
            # A transaction under way.
            probe.send((INSERT, "", "b"), ("SELECT 1", "i"), pause_ms=600)
            time.sleep(0.3)
            self.server.sql(kill)
            self.assertIn("ok", probe.answer())
        self.assertEqual(self.rows(), ["a|1", "b|1"])

    def test_a_prepared_statement_whose_table_has_changed(self):
        with Probe(self.server.url()) as probe:
            probe.run((INSERT, "", "a"))
            for number in (1, 2):
                self.assertIn("ok", probe.run(("SELECT * FROM probe", "ti")))
                self.server.sql(f"ALTER TABLE probe ADD COLUMN c{number} TEXT")
            self.assertIn("ok", probe.run(("SELECT * FROM probe", "ti")))
        self.server.sql("ALTER TABLE probe DROP COLUMN c1, DROP COLUMN c2")

    def cut(self, marker, verdict):
        """A proxy that treats the next request with the marker in this way, once it is armed."""
        armed = threading.Event()

        def watch(data):
            if marker not in data or not armed.is_set():
                return None
            armed.clear()
            return verdict
        proxy = Proxy(self.server.port, watch)
        self.addCleanup(proxy.close)
        return proxy.port, armed

    def test_the_answer_to_commit_is_lost(self):
        port, armed = self.cut(COMMIT, "cut later")
        with Probe(self.server.url(port=port)) as probe:
            self.assertIn("ok", probe.run((INSERT, "", "a")))
            armed.set()
            self.assertIn("ok", probe.run((INSERT, "", "b")))
            # It was not repeated.
            self.assertFalse(armed.is_set())
            self.assertEqual(self.rows(), ["a|1", "b|1"])
            # A transaction that only reads has no commit.
            armed.set()
            self.assertEqual(probe.run(("SELECT count(*) FROM probe", "i")), {"ok": [[[2]]]})
            self.assertTrue(armed.is_set())
            # One that has locked and changed nothing has no unknown outcome.
            self.assertIn("ok", probe.run(("SELECT id FROM probe ORDER BY id FOR UPDATE", "t")))
            self.assertFalse(armed.is_set())
            self.assertIn("ok", probe.run((INSERT, "", "c")))

    def test_commit_does_not_arrive(self):
        port, armed = self.cut(COMMIT, "cut")
        with Probe(self.server.url(port=port)) as probe:
            self.assertEqual(probe.run(("SELECT 1", "i")), {"ok": [[[1]]]})
            armed.set()
            # It was repeated.
            self.assertIn("ok", probe.run((INSERT, "", "a")))
            self.assertEqual(self.rows(), ["a|1"])

    def test_commit_arrives_late(self):
        port, armed = self.cut(COMMIT, "late")
        with Probe(self.server.url(port=port)) as probe:
            self.assertEqual(probe.run(("SELECT 1", "i")), {"ok": [[[1]]]})
            # The first transaction of a connection, and a later one.
            for key in ("a", "b"):
                armed.set()
                begin = time.monotonic()
                self.assertIn("ok", probe.run((INSERT, "", key)))
                self.assertFalse(armed.is_set())
                self.assertGreater(time.monotonic() - begin, 0.9)
                self.assertEqual(self.rows(), [f"{each}|1" for each in "ab"[:"ab".index(key) + 1]])
                self.assertIn("ok", probe.run((INSERT, "", f"after {key}")))
                self.server.sql("DELETE FROM probe WHERE id LIKE 'after %'")

    def test_no_server_tells_whether_a_commit_is_durable(self):
        state = {"armed": False, "away": False}

        def watch(data):
            state["away"] = state["away"] or (state["armed"] and COMMIT in data)
            return "cut" if state["away"] else None
        proxy = Proxy(self.server.port, watch)
        self.addCleanup(proxy.close)
        with Probe(self.server.url(port=proxy.port)) as probe:
            self.assertEqual(probe.run(("SELECT 1", "i")), {"ok": [[[1]]]})
            state["armed"] = True
            self.assertEqual(probe.run((INSERT, "", "a")).get("error"), "unknownOutcome")
            self.assertEqual(self.rows(), [])
            state.update(armed=False, away=False)
            deadline = time.monotonic() + 20
            while "ok" not in (answer := probe.run((INSERT, "", "b"))):
                self.assertLess(time.monotonic(), deadline, answer)
            self.assertEqual(self.rows(), ["b|1"])

    def test_the_answer_to_the_first_commit_is_lost(self):
        for verdict in ("cut", "cut later"):
            database = "first_" + verdict.replace(" ", "_")
            self.server.sql(f"CREATE DATABASE {database}")
            port, armed = self.cut(COMMIT, verdict)
            armed.set()
            with self.subTest(verdict), Probe(self.server.url(database=database, port=port)) as probe:
                self.assertIn("ok", probe.run((INSERT, "", "a")))

    def test_a_connection_that_ends_before_commit(self):
        for verdict in ("cut", "cut later"):
            port, armed = self.cut(b"INSERT INTO probe", verdict)
            armed.set()
            with self.subTest(verdict), Probe(self.server.url(port=port)) as probe:
                self.assertIn("ok", probe.run((INSERT, "", verdict)))
        self.assertEqual(self.rows(), ["cut|1", "cut later|1"])

    def test_a_server_without_an_answer(self):
        hold = threading.Event()

        def watch(data):
            if b"pg_backend_pid" in data:
                hold.wait(20)
            return None
        proxy = Proxy(self.server.port, watch)
        with Probe(self.server.url(port=proxy.port), "--statement-timeout-ms", "300") as probe:
            probe.run(("SELECT 1", "i"))
            begin = time.monotonic()
            answer = probe.run(("SELECT pg_backend_pid()", "i"))
            self.assertEqual(answer["error"], "unavailable", answer)
            self.assertLess(time.monotonic() - begin, 15)
            hold.set()
            self.assertIn("ok", probe.run(("SELECT 1", "i")))
        proxy.close()

    def test_read_only_and_back(self):
        with Probe(self.server.url()) as probe:
            self.assertEqual(probe.run(), {"ok": True})
            self.server.sql("ALTER DATABASE parley SET default_transaction_read_only = on")
            self.server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'parley'")
            self.assertIn("read-only", probe.run((INSERT, "", "a"))["reason"])
            self.server.sql("ALTER DATABASE parley RESET default_transaction_read_only", database="postgres")
            self.recovers(probe)

    def recovers(self, probe):
        end = time.monotonic() + 20
        while (answer := probe.run((INSERT, "", "recovered"))).get("error") == "unavailable" and time.monotonic() < end:
            time.sleep(0.1)
        self.assertIn("ok", answer)

    def test_the_server_crashes_and_comes_back(self):
        with Probe(self.server.url()) as probe:
            self.assertIn("ok", probe.run((INSERT, "", "a")))
            self.server.kill()
            self.assertEqual(probe.run((INSERT, "", "b"))["error"], "unavailable")
            self.server.start()
            self.recovers(probe)
        self.assertEqual(self.rows(), ["a|1", "recovered|1"])

    def test_nodes_that_start_together_make_the_tables_once(self):
        self.server.sql("CREATE DATABASE fresh")
        probes = [Probe(self.server.url(database="fresh")) for _ in range(6)]
        for probe in probes:
            probe.send(("SELECT count(*) FROM probe", "i"))
        for probe in probes:
            with probe:
                self.assertEqual(probe.answer(), {"ok": [[[0]]]})


if __name__ == "__main__":
    unittest.main()
