"""TLS on every socket, with OpenSSL's own client, sslscan, python-socketio and pika."""

import http.client
import json
import os
import pathlib
import queue
import re
import signal
import socket
import ssl
import stat
import subprocess
import tempfile
import threading
import time
import unittest

import pika
import requests

import documents
import rabbit
from harness import Server, SocketClient
from tls import Authority, openssl

SERVICES = ("broker", "users", "manager", "supervisor", "chat", "customers")


def get(port, path, context, host="localhost", headers=None):
    connection = http.client.HTTPSConnection(host, port, timeout=10, context=context)
    try:
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def shown(port, context, name="localhost"):
    """The certificate that a server shows for a name, in PEM form."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as bare:
        with context.wrap_socket(bare, server_hostname=name) as secure:
            return ssl.DER_cert_to_PEM_cert(secure.getpeercert(binary_form=True))


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


class Everything(unittest.TestCase):
    """All services of one process."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.authority = Authority(cls.folder.name)
        cls.pair = cls.authority.issue("first", "localhost", "127.0.0.1")
        cls.other = cls.authority.issue("second", "chat.example.com", kind="P-256")
        cls.server = Server("--tls-cert", cls.pair[0], "--tls-key", cls.pair[1], "--tls-cert", cls.other[0],
                            "--tls-key", cls.other[1], "--broker-http-port", "0", services=SERVICES).start()
        cls.context = cls.authority.context()

    @classmethod
    def tearDownClass(cls):
        cls.server.kill()
        cls.server.folder.cleanup()
        cls.folder.cleanup()

    def test_urls(self):
        for name, url in self.server.urls.items():
            self.assertTrue(url.startswith("amqps://" if name == "amqp" else "https://"), url)

    def test_services_find_each_other(self):
        for name in ("users", "chat", "customers", "manager"):
            status, text = get(self.server.ports[name], "/health", self.context)
            self.assertEqual(status, 200, text)

    def test_each_socket_speaks_its_own_protocol(self):
        """A client that offers another protocol is refused, so that none can be led from one socket to another."""
        ports = self.server.ports
        for port, own, other in ((ports["broker"], "amqp", "http/1.1"), (ports["broker-http"], "http/1.1", "amqp"),
                                 (ports["users"], "http/1.1", "amqp")):
            self.assertIn(f"ALPN protocol: {own}", self.client("-alpn", own, port=port).stdout)
            self.assertNotEqual(self.client("-alpn", other, port=port).returncode, 0)
        status, text = get(ports["broker-http"], "/health", self.context)
        self.assertEqual(status, 200, text)
        self.assertIn("parley_broker_queues", get(ports["broker-http"], "/metrics", self.context)[1])

    def test_names(self):
        for name, pair in (("localhost", self.pair), ("chat.example.com", self.other)):
            certificate = pathlib.Path(pair[0]).read_text()
            self.assertIn(shown(self.server.ports["chat"], self.context, name), certificate)

    def test_python_socketio(self):
        port = self.server.ports["chat"]
        session = requests.Session()
        session.verify = str(self.authority.certificate)
        # Otherwise REQUESTS_CA_BUNDLE takes its place.
        session.trust_env = False
        url = f"https://localhost:{port}"
        for path in ("/register", "/login"):
            answer = session.post(url + path, json={"username": "sue", "password": "password123"}, timeout=10)
            self.assertEqual(answer.status_code, 200, answer.text)
        for transports in (["websocket"], ["polling"], None):
            client = SocketClient(reconnection=False, http_session=session,
                                  websocket_extra_options={"sslopt": {"ca_certs": session.verify}})
            connected = queue.Queue()
            client.on("connect", lambda: connected.put(True))
            client.connect(url, transports=transports, auth={"sessionID": answer.json()["sessionID"]}, wait_timeout=5)
            self.assertTrue(connected.get(timeout=5))
            client.disconnect()

    def test_pika(self):
        port = self.server.ports["broker"]
        parameters = pika.ConnectionParameters(
            "localhost", port, credentials=pika.PlainCredentials("guest", "guest"),
            ssl_options=pika.SSLOptions(self.context, "localhost"))
        connection = pika.BlockingConnection(parameters)
        channel = connection.channel()
        channel.queue_declare("secure")
        body = os.urandom(300_000)
        channel.basic_publish("", "secure", body)
        for _ in range(50):
            method, _, received = channel.basic_get("secure", auto_ack=True)
            if method:
                break
            time.sleep(0.1)
        self.assertEqual(received, body)
        connection.close()

    def client(self, *flags, text="", port=None):
        address = f"127.0.0.1:{port or self.server.ports['users']}"
        return openssl("s_client", "-connect", address, "-CAfile", str(self.authority.certificate), *flags, text=text)

    def test_versions_and_ciphers(self):
        for version in ("-tls1_2", "-tls1_3"):
            self.assertIn("Verify return code: 0 (ok)", self.client(version).stdout)
        for flags in (["-tls1"], ["-tls1_1"], ["-tls1_2", "-cipher", "AES128-SHA:AES256-SHA:AES128-GCM-SHA256"],
                      ["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA256:ECDHE-RSA-AES256-SHA"],
                      ["-alpn", "h2"]):
            outcome = self.client(*flags, "-cipher", "ALL:@SECLEVEL=0") if flags[0] in ("-tls1", "-tls1_1") else self.client(*flags)
            self.assertNotEqual(outcome.returncode, 0, flags)

    def test_renegotiation_is_refused(self):
        outcome = self.client("-tls1_2", text="R\n")
        self.assertIn("no renegotiation", outcome.stderr + outcome.stdout)

    def test_no_early_data_and_no_sessions(self):
        with tempfile.TemporaryDirectory() as folder:
            session = f"{folder}/session"
            text = "GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
            first = self.client("-tls1_3", "-ign_eof", "-sess_out", session, text=text)
            self.assertIn("200 OK", first.stdout)
            self.assertNotIn("TLS session ticket:", first.stdout)
            self.assertNotIn("Post-Handshake New Session Ticket", first.stdout)
            self.assertFalse(os.path.exists(session) and os.path.getsize(session))

    def test_oversized_records_and_garbage(self):
        """A record longer than 2^14 + 256 bytes, and bytes that are no record, get an alert."""
        for data in (b"\x16\x03\x01\xff\xff" + bytes(65535), b"\x17\x03\x03\x00\x10" + bytes(16), b"GET / HTTP/1.1\r\n\r\n",
                     b"\x16\x03\x01\x00\x05\x01\xff\xff\xff\x00"):
            with socket.create_connection(("127.0.0.1", self.server.ports["users"]), timeout=15) as bare:
                bare.sendall(data)
                answer = b""
                try:
                    while part := bare.recv(4096):
                        answer += part
                except ConnectionResetError:
                    pass
                self.assertTrue(answer == b"" or answer[0] == 0x15, answer[:20])
        self.assertEqual(get(self.server.ports["users"], "/health", self.context)[0], 200)

    def test_a_request_that_is_cut_off_gets_no_answer(self):
        """Without close_notify, the end of the connection is no end of the request."""
        with socket.create_connection(("127.0.0.1", self.server.ports["users"]), timeout=10) as bare:
            secure = self.context.wrap_socket(bare, server_hostname="localhost", suppress_ragged_eofs=False)
            secure.sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\n")
            socket.socket.shutdown(secure, socket.SHUT_WR)
            with self.assertRaises((ssl.SSLError, ConnectionResetError, OSError)):
                while not secure.recv(4096).startswith(b"HTTP/1.1 200"):
                    pass

    def test_a_flood_of_handshakes_is_bounded(self):
        port = self.server.ports["users"]
        hello = self.hello()
        half = []
        for _ in range(700):
            bare = socket.create_connection(("127.0.0.1", port), timeout=10)
            bare.sendall(hello)
            half.append(bare)
        wait_for(lambda: self.handshakes(self.server.ports["customers"]) is not None)
        closed = 0
        for bare in half:
            bare.settimeout(5)
            try:
                closed += not bare.recv(65536)
            except ConnectionResetError:
                closed += 1
        self.assertEqual(closed, 700 - 512)
        for bare in half:
            bare.close()
        wait_for(lambda: get(port, "/health", self.context)[0] == 200)
        counts = self.handshakes(port)
        self.assertGreaterEqual(counts["refused"], 700 - 512)

    def handshakes(self, port):
        status, text = get(port, "/metrics", self.context)
        self.assertEqual(status, 200)
        return {result: int(count) for result, count in
                re.findall(r'parley_tls_handshakes_total\{.*result="(\w+)"\} (\d+)', text)}

    @staticmethod
    def hello():
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.create_default_context()
        try:
            context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
        except ssl.SSLWantReadError:
            pass
        return outgoing.read()

    def test_metrics(self):
        _, text = get(self.server.ports["users"], "/metrics", self.context)
        expiry = int(re.search(r"parley_tls_certificate_expiry_timestamp_seconds\{.*\} (\d+)", text)[1])
        self.assertAlmostEqual(expiry, time.time() + 30 * 86400, delta=3600)

    def test_sslscan_finds_nothing_weak(self):
        outcome = subprocess.run(["sslscan", "--no-colour", f"127.0.0.1:{self.server.ports['users']}"], text=True,
                                 capture_output=True, timeout=120)
        for line in ("SSLv2     disabled", "SSLv3     disabled", "TLSv1.0   disabled", "TLSv1.1   disabled",
                     "TLSv1.2   enabled", "TLSv1.3   enabled", "Session renegotiation not supported"):
            self.assertIn(line, outcome.stdout)
        self.assertIn("TLSv1.2 not vulnerable to heartbleed", outcome.stdout)
        ciphers = re.findall(r"^(?:Preferred|Accepted)\s+\S+\s+(\d+) bits\s+(\S+)", outcome.stdout, re.M)
        self.assertGreater(len(ciphers), 4)
        for bits, name in ciphers:
            self.assertGreaterEqual(int(bits), 128)
            self.assertTrue(name.startswith("TLS_") or name.startswith("ECDHE-"), name)
            self.assertTrue("GCM" in name or "CHACHA20" in name or "POLY1305" in name, name)


class OneService(unittest.TestCase):
    """What happens to one service while its certificates change."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.authority = Authority(self.folder.name)
        self.context = self.authority.context()

    def server(self, pair, *flags, **more):
        return Server("--tls-cert", pair[0], "--tls-key", pair[1], *flags, **more)

    def test_reload_drops_no_connection(self):
        pair = self.authority.issue("server", "localhost")
        with self.server(pair, log_level="info") as server:
            log = []
            threading.Thread(target=lambda: log.extend(iter(server.process.stderr.readline, "")), daemon=True).start()
            kept = http.client.HTTPSConnection("localhost", server.port, timeout=10, context=self.context)
            kept.request("GET", "/health")
            self.assertEqual(kept.getresponse().read() and 200, 200)
            first = shown(server.port, self.context)
            self.authority.issue("server", "localhost")
            wait_for(lambda: shown(server.port, self.context) != first)
            second = shown(server.port, self.context)
            # A bad pair changes nothing.
            pathlib.Path(pair[1]).write_text("no key")
            wait_for(lambda: any("certificates-refused" in line for line in log))
            self.assertEqual(shown(server.port, self.context), second)
            self.authority.issue("server", "localhost")
            server.process.send_signal(signal.SIGHUP)
            wait_for(lambda: shown(server.port, self.context) != second)
            kept.request("GET", "/health")
            self.assertEqual(kept.getresponse().status, 200)
            self.assertTrue(any("certificates-replaced" in line for line in log))
            self.assertFalse(any("PRIVATE" in line for line in log))
            kept.close()

    def test_a_certificate_that_expires_soon_is_reported(self):
        for days, wanted in ((13, True), (16, False)):
            pair = self.authority.issue("soon", "localhost", days=days)
            with self.server(pair) as server:
                get(server.port, "/health", self.context)
                server.process.send_signal(signal.SIGTERM)
                _, errors = server.process.communicate(timeout=20)
                self.assertEqual("certificate-expires" in errors, wanted, errors)

    def test_client_certificates_replace_the_token(self):
        pair = self.authority.issue("server", "localhost")
        services = Authority(self.folder.name, "services")
        mine, foreign = services.issue("me", "chat"), self.authority.issue("foreign", "chat")
        with self.server(pair, "--tls-client-ca", str(services.certificate), "--host", "0.0.0.0") as server:
            self.assertEqual(get(server.port, "/health", self.context)[0], 200)
            self.assertEqual(get(server.port, "/metrics", self.context)[0], 401)
            self.assertEqual(get(server.port, "/metrics", self.authority.context(mine))[0], 200)
            with self.assertRaises((ssl.SSLError, OSError)):
                get(server.port, "/metrics", self.authority.context(foreign))

    def test_two_processes(self):
        """The Chat Service reaches the User Service by https, and says why if it does not."""
        pair = self.authority.issue("users", "localhost", "127.0.0.1")
        with self.server(pair) as users:
            cases = [("localhost", str(self.authority.certificate), 200, None)]
            stranger = Authority(self.folder.name, "stranger")
            cases.append(("localhost", str(stranger.certificate), None, "is of an unknown authority"))
            for host, authority, wanted, reason in cases:
                url = f"https://{host}:{users.port}"
                with self.server(pair, "--users-url", url, "--ca", authority, services=("chat",), log_level="info") as chat:
                    connection = http.client.HTTPSConnection("localhost", chat.port, timeout=20, context=self.context)
                    connection.request("POST", "/register", json.dumps({"username": "joe", "password": "password123"}),
                                       {"content-type": "application/json"})
                    answer = connection.getresponse()
                    text = answer.read().decode()
                    connection.close()
                    if wanted:
                        self.assertEqual(answer.status, wanted, text)
                    else:
                        self.assertGreaterEqual(answer.status, 500, text)
                        chat.process.send_signal(signal.SIGTERM)
                        _, errors = chat.process.communicate(timeout=20)
                        self.assertIn(reason, errors)

    def test_rabbitmq(self):
        """The Chat Service reaches a RabbitMQ that accepts nothing but TLS, and refuses one with a wrong name."""
        pair = self.authority.issue("server", "localhost", "127.0.0.1")
        with self.server(pair) as users:
            for name, wanted in (("127.0.0.1", 200), ("rabbit.example.com", 503)):
                shown = self.authority.issue("rabbit", name)
                os.chmod(self.folder.name, 0o755)
                os.chmod(shown[1], 0o644)
                broker = rabbit.Rabbit(tls=(self.authority.certificate, *shown)).start()
                self.addCleanup(broker.stop)
                flags = ["--users-url", f"https://localhost:{users.port}", "--ca", str(self.authority.certificate), "--amqp", broker.url]
                with self.server(pair, *flags, services=("chat",)) as chat:
                    if wanted == 200:
                        wait_for(lambda: get(chat.port, "/health", self.context)[0] == 200, 60)
                    else:
                        time.sleep(2)
                        self.assertEqual(get(chat.port, "/health", self.context)[0], 503)
                        chat.process.send_signal(signal.SIGTERM)
                        _, errors = chat.process.communicate(timeout=20)
                        self.assertIn("the certificate of 127.0.0.1 is for another name", errors)

    def test_self_signed(self):
        with Server("--tls-self-signed") as server:
            folder = pathlib.Path(server.data)
            key = folder / "tls-self-signed.key"
            self.assertEqual(stat.S_IMODE(key.stat().st_mode), 0o600)
            context = ssl.create_default_context(cafile=str(folder / "tls-self-signed.crt"))
            self.assertEqual(get(server.port, "/health", context)[0], 200)
            before = key.read_bytes()
            server.kill()
            server.start()
            self.assertEqual(key.read_bytes(), before)

    def test_first_certificate_of_the_documents(self):
        """The commands of docs/operations/secure.md make a certificate that clients trust."""
        path = documents.ROOT / "docs/operations/secure.md"
        block = next(text for language, text in documents.blocks(path) if language == "sh" and "openssl req" in text)
        made = [command for command in documents.commands(block) if command.startswith("openssl")]
        self.assertEqual(len(made), 2)
        for command in made:
            subprocess.run(["bash", "-c", command], cwd=self.folder.name, check=True, capture_output=True, timeout=20)
        folder = pathlib.Path(self.folder.name)
        with self.server((str(folder / "chat.crt"), str(folder / "chat.key"))) as server:
            for host in ("localhost", "127.0.0.1"):
                outcome = subprocess.run(["curl", "--silent", "--show-error", "--cacert", folder / "ca.crt",
                                          f"https://{host}:{server.port}/health"], text=True, capture_output=True, timeout=20)
                self.assertIn("healthy", outcome.stdout, outcome.stderr)

    def test_errors_of_the_command_line(self):
        pair = self.authority.issue("server", "localhost")
        other = self.authority.issue("other", "localhost")
        for flags, reason in (
                (["--tls-cert", pair[0]], "each --tls-cert needs its --tls-key"),
                (["--tls-cert", pair[0], "--tls-key", other[1]], "the private key is not that of the certificate"),
                (["--tls-cert", pair[1], "--tls-key", pair[1]], "no certificate in PEM form"),
                (["--tls-cert", pair[0], "--tls-key", "/nowhere"], "/nowhere: No such file or directory"),
                (["--tls-client-ca", pair[0]], "--tls-client-ca needs TLS"),
                (["--tls-self-signed", "--tls-cert", pair[0], "--tls-key", pair[1]], "exclude each other")):
            server = Server(*flags)
            with self.assertRaises(RuntimeError) as failure:
                server.start()
            self.assertIn(reason, str(failure.exception))
            server.process.communicate()
            server.folder.cleanup()

    def test_kill(self):
        """Acknowledged writes survive kill -9 with TLS on."""
        pair = self.authority.issue("server", "localhost")
        with self.server(pair) as server:
            written = 0
            for round_ in range(5):
                names, stop = [], threading.Event()

                def load():
                    try:
                        connection = http.client.HTTPSConnection("localhost", server.port, timeout=10, context=self.context)
                        for number in range(10_000):
                            name = f"r{round_}n{number}"
                            body = {"email": f"{name}@example.com", "username": name, "password": "password123"}
                            connection.request("POST", "/register", json.dumps(body), {"content-type": "application/json"})
                            response = connection.getresponse()
                            response.read()
                            if response.status != 201 or stop.is_set():
                                return
                            names.append(name)
                    except (OSError, http.client.HTTPException):
                        return

                thread = threading.Thread(target=load)
                thread.start()
                wait_for(lambda: len(names) > 20)
                server.kill()
                stop.set()
                thread.join()
                server.start()
                connection = http.client.HTTPSConnection("localhost", server.port, timeout=10, context=self.context)
                for name in names:
                    connection.request("POST", "/login", json.dumps({"user": name, "password": "password123"}),
                                       {"content-type": "application/json"})
                    response = connection.getresponse()
                    self.assertEqual(response.status, 200, response.read())
                    response.read()
                written += len(names)
                connection.close()
            self.assertGreater(written, 100)


if __name__ == "__main__":
    unittest.main()
