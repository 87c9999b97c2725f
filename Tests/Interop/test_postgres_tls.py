"""PostgreSQL inside TLS: each `sslmode` against the real server, wrong certificates, and others on the path."""

import os
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

import tls
from harness import BINARY, Client, Server
from postgres import Between, Postgres, Proxy
from test_postgres import Probe

SSL_REQUEST = b"\0\0\0\x08\x04\xd2\x16\x2f"
NAMES = ("localhost", "127.0.0.1")
ASK = ("SELECT ssl::int::int8, coalesce(version, '') FROM pg_stat_ssl WHERE pid = pg_backend_pid()", "it")


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.authority = tls.Authority(folder.name)
        cls.stranger = tls.Authority(folder.name, "stranger")
        cls.folder = folder.name
        cls.server = Postgres(fsync="off")
        cls.show("server")
        cls.access("hostssl all all scram-sha-256")
        cls.server.start()
        cls.server.sql("CREATE DATABASE parley", database="postgres")
        cls.addClassCleanup(cls.server.stop)

    @classmethod
    def show(cls, file, *names, authority=None, **more):
        """Gives the server a new certificate."""
        cls.server.secure(*(authority or cls.authority).issue(file, *(names or NAMES), **more))

    @classmethod
    def access(cls, *lines):
        """Sets the access, and refuses what no line is for."""
        cls.server.access(*lines, "all all reject")

    def change(self, *lines, **certificate):
        """Changes the access or the certificate of the running server until the test ends."""
        def set(lines, certificate):
            self.access(*lines)
            self.show(**certificate)
            self.server.reload()
            # The server reads the files when it gets to the signal.
            time.sleep(0.3)
        set(lines or ["hostssl all all scram-sha-256"], {"file": "changed", **certificate})
        self.addCleanup(lambda: set(["hostssl all all scram-sha-256"], {"file": "server"}))

    def url(self, mode, host="127.0.0.1", port=None, login="owner:secret"):
        return f"postgresql://{login}@{host}:{port or self.server.port}/parley?sslmode={mode}"

    def ask(self, mode, authority=None, **more):
        """Returns whether a transaction ran inside TLS, or the reason why it did not run."""
        flags = ["--ca", str((authority or self.authority).certificate)]
        with Probe(self.url(mode, **more), *flags) as probe:
            answer = probe.run(ASK)
        if "ok" not in answer:
            self.assertEqual(answer["error"], "unavailable", answer)
            return answer["reason"]
        [[[encrypted, version]]] = answer["ok"]
        if encrypted:
            self.assertIn(version, ("TLSv1.2", "TLSv1.3"))
        return bool(encrypted)


class Modes(Case):
    def test_a_server_that_accepts_only_tls(self):
        for mode in ("allow", "prefer", "require", "verify-ca", "verify-full"):
            for host in NAMES:
                with self.subTest(mode, host=host):
                    self.assertIs(self.ask(mode, host=host), True)
        self.assertIn("pg_hba.conf", self.ask("disable"))

    def test_a_server_that_refuses_tls(self):
        self.change("hostnossl all all scram-sha-256")
        for mode in ("disable", "allow", "prefer"):
            with self.subTest(mode):
                self.assertIs(self.ask(mode), False)
        for mode in ("require", "verify-ca", "verify-full"):
            with self.subTest(mode):
                self.assertIn("pg_hba.conf", self.ask(mode))

    def test_a_wrong_password_is_not_tried_again(self):
        for mode in ("allow", "prefer", "require"):
            with self.subTest(mode):
                self.assertIn("28P01", self.ask(mode, login="owner:wrong"))

    def test_versions(self):
        for version in ("TLSv1.2", "TLSv1.3"):
            self.server.sql(f"ALTER SYSTEM SET ssl_max_protocol_version = '{version}'", database="postgres")
            self.server.reload()
            time.sleep(0.3)
            self.assertIs(self.ask("verify-full"), True)
        self.server.sql("ALTER SYSTEM RESET ssl_max_protocol_version", database="postgres")
        self.server.reload()

    def test_signatures(self):
        """The channel binding is a hash by the signature's own hash function. Ed25519 has none."""
        for digest in ("sha256", "sha384", "sha512"):
            for kind in ("rsa:2048", "P-256"):
                with self.subTest(digest, kind=kind):
                    self.change(kind=kind, digest=digest)
                    self.assertIs(self.ask("verify-full"), True)
        modern = tls.Authority(self.folder, "modern", kind="ed25519")
        self.change(authority=modern)
        self.assertIs(self.ask("verify-full", modern), True)

    def test_a_statement_is_stopped_inside_tls(self):
        firsts = []

        def watch(data):
            if len(data) < 20:
                firsts.append(data)
        proxy = Proxy(self.server.port, watch)
        self.addCleanup(proxy.close)
        self.server.sql("ALTER SYSTEM SET log_min_messages = debug2", database="postgres")
        self.server.reload()
        with Probe(self.url("verify-full", port=proxy.port), "--ca", str(self.authority.certificate),
                   "--statement-timeout-ms", "300") as probe:
            probe.run(("SELECT 1", "i"))
            backend = self.backend()
            os.kill(backend, signal.SIGSTOP)
            try:
                # The transaction runs again on another connection.
                self.assertEqual(probe.run(("SELECT 1", "i")), {"ok": [[[1]]]})
            finally:
                os.kill(backend, signal.SIGCONT)
        with open(self.server.log.name) as log:
            self.assertIn(f"processing cancel request: sending SIGINT to process {backend}", log.read())
        # Two connections and the CancelRequest. None has spoken without TLS.
        self.assertEqual(firsts[:3], [SSL_REQUEST] * 3)
        self.assertFalse([data for data in firsts if b"\x04\xd2\x16\x2e" in data])
        self.server.sql("ALTER SYSTEM RESET log_min_messages", database="postgres")
        self.server.reload()

    def backend(self):
        [pid] = self.server.sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'parley'")
        return int(pid)


class WrongCertificates(Case):
    """`verify-full` checks the name, `verify-ca` the authority and the time, `require` nothing."""

    def check(self, mode, reason, authority=None):
        found = self.ask(mode, authority)
        if reason:
            self.assertIn(reason, str(found))
            self.assertNotIn("\n", found)
        else:
            self.assertIs(found, True)

    def test_wrong_name(self):
        self.change(file="elsewhere")
        self.show("elsewhere", "db.example.com")
        self.server.reload()
        time.sleep(0.3)
        self.check("verify-full", "the certificate of 127.0.0.1 is for another name")
        self.check("verify-ca", None)
        self.check("require", None)

    def test_unknown_authority(self):
        for mode in ("verify-full", "verify-ca"):
            self.check(mode, "the certificate of 127.0.0.1 is of an unknown authority", self.stranger)
        self.check("require", None, self.stranger)
        self.check("prefer", None, self.stranger)

    def test_expired(self):
        self.change(days=-1)
        for mode in ("verify-full", "verify-ca"):
            self.check(mode, "the certificate of 127.0.0.1 has expired")
        self.check("require", None)

    def test_the_service_says_it_in_one_line(self):
        def refused(mode, reason, authority):
            with tempfile.TemporaryDirectory() as data:
                ran = subprocess.run(
                    [BINARY, "serve", "users", "--users-port", "0", "--data", data, "--database", self.url(mode),
                     "--ca", str(authority.certificate)], capture_output=True, text=True, timeout=30)
            self.assertNotEqual(ran.returncode, 0)
            [line] = [line for line in ran.stderr.splitlines() if not line.startswith("{")]
            self.assertIn(reason, line)
            self.assertNotIn("secret", ran.stderr)
        refused("verify-full", "the certificate of 127.0.0.1 is of an unknown authority", self.stranger)
        refused("disable", "pg_hba.conf", self.authority)

    def test_the_service_serves_and_notices_an_expired_certificate(self):
        flags = ["--database", self.url("verify-full"), "--ca", str(self.authority.certificate)]
        with Server(*flags) as server:
            client = Client(server.port)
            self.assertEqual(client.register("ada")[0], 201)
            [count] = self.server.sql("SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
                                      "WHERE application_name = 'parley' AND NOT ssl")
            self.assertEqual(count, "0")
            self.change(days=-1)
            # Open connections stay, and new ones are refused.
            self.assertEqual(client.login("ada")[0], 200)
            self.server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'parley'")
            self.until(lambda: client.login("ada")[0] == 503)
            self.show("renewed")
            self.server.reload()
            self.until(lambda: client.login("ada")[0] == 200)

    def until(self, condition, seconds=20):
        end = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), end, "waited in vain")
            time.sleep(0.1)


class Middle(Between):
    """Somebody on the path who ends TLS, with a certificate that the client trusts, and reads and changes what passes."""

    def __init__(self, port, pair, change=lambda data: data, early=b"", strips=False):
        self.change, self.early, self.strips = change, early, strips
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*pair)
        super().__init__(port)

    def serve(self, client):
        try:
            first = client.recv(8)
            if first == SSL_REQUEST and self.strips:
                client.sendall(b"N")
                first = b""
            elif first == SSL_REQUEST:
                client.sendall(b"S" + self.early)
                client = self.context.wrap_socket(client, server_side=True)
                first = b""
            server = socket.create_connection(("127.0.0.1", self.target))
            server.sendall(SSL_REQUEST)
            assert server.recv(1) == b"S"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            server = context.wrap_socket(server)
            server.sendall(first)
            threading.Thread(target=self.pump, args=(client, server, lambda data: data), daemon=True).start()
            self.pump(server, client, self.change)
        except OSError:
            pass
        client.close()

    @staticmethod
    def pump(source, sink, change):
        try:
            while data := source.recv(65536):
                sink.sendall(change(data))
        except OSError:
            pass
        for each in (source, sink):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class OnThePath(Case):
    """`require` authenticates nobody by certificates, but SCRAM is bound to the server's own."""

    def middle(self, **more):
        middle = Middle(self.server.port, self.authority.issue("middle", *NAMES), **more)
        self.addCleanup(middle.close)
        return middle.port

    def test_the_channel_is_another_one(self):
        for mode in ("require", "verify-full"):
            reason = self.ask(mode, port=self.middle())
            self.assertIn("SCRAM channel binding check failed", str(reason))

    def test_the_list_of_mechanisms_is_shortened(self):
        def shorten(data):
            found = b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"
            if found not in data:
                return data
            kept = b"SCRAM-SHA-256\0\0"
            start = data.index(found) - 9
            return (data[:start] + b"R" + (8 + len(kept)).to_bytes(4, "big") + b"\0\0\0\x0a" + kept
                    + data[start + 9 + len(found):])
        reason = self.ask("require", port=self.middle(change=shorten))
        self.assertIn("channel binding", str(reason))

    def test_tls_is_removed(self):
        self.assertIn("something on the path has removed it", str(self.ask("prefer", port=self.middle(strips=True))))
        self.assertIn("does not support TLS", str(self.ask("require", port=self.middle(strips=True))))

    def test_bytes_before_the_handshake(self):
        """CVE-2021-23222."""
        for mode in ("prefer", "require", "verify-full"):
            reason = self.ask(mode, port=self.middle(early=b"R\0\0\0\x08\0\0\0\0"))
            self.assertIn("bytes before TLS was started", str(reason))


if __name__ == "__main__":
    unittest.main()
