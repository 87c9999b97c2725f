"""Hostile and unusual clients affect neither other clients nor the next start."""

import contextlib
import json
import os
import socket
import struct
import subprocess
import tempfile
import time
import unittest

import pika

from harness import BINARY, Client, Server, SocketClient
from hostile import RawBroker, client_frame, frame, growth, method, web_socket
from test_sessions import until

ALL = ("broker", "users", "manager", "supervisor", "chat", "customers")
# The memory that one client may use, beyond the idle size of the process.
MEBIBYTES = 64


class Hostile(unittest.TestCase):
    def setUp(self):
        self.server = Server(services=ALL).start()
        self.addCleanup(self.server.folder.cleanup)
        self.addCleanup(lambda: self.server.process.poll() is None and self.server.kill())

    def channel(self):
        url = self.server.urls["amqp"].replace("//", "//guest:guest@") + "/?heartbeat=0"
        connection = pika.BlockingConnection(pika.URLParameters(url))
        self.addCleanup(self.close, connection)
        return connection.channel()

    @staticmethod
    def close(connection):
        # The process may have been killed in the meantime.
        with contextlib.suppress(pika.exceptions.AMQPError):
            connection.close()

    def client(self, service):
        return Client(self.server.ports[service])

    def serves(self):
        """Checks that every service answers, and that the broker delivers a message."""
        self.assertIsNone(self.server.process.poll())
        for service in ("users", "chat", "customers", "manager"):
            # /health checks the broker, and a service that has just started may not be connected to
            # it yet.
            self.assertTrue(until(lambda: self.client(service).send("GET", "/health")[0] == 200), service)
        channel = self.channel()
        probe = channel.queue_declare("", exclusive=True).method.queue
        channel.basic_publish("", probe, b"probe")
        self.assertEqual(until(lambda: channel.basic_get(probe, auto_ack=True)[2]), b"probe")

    def serves_also_after_a_restart(self):
        self.serves()
        self.server.kill()
        self.server.start()
        self.serves()

    # MARK: The broker

    def test_times_of_any_size(self):
        for value in (2**32, 2**63 - 1, 2**63, 2**64, 10**30, -1):
            with self.subTest(expiration=value):
                channel = self.channel()
                channel.queue_declare("q", durable=True)
                channel.confirm_delivery()
                with self.assertRaises(pika.exceptions.AMQPChannelError) as refused:
                    channel.basic_publish("", "q", b"x", pika.BasicProperties(expiration=str(value), delivery_mode=2))
                    channel.connection.process_data_events(0)
                self.assertEqual(refused.exception.reply_code, 406)
            if -2**63 <= value < 2**63:
                with self.subTest(ttl=value), self.assertRaises(pika.exceptions.AMQPChannelError):
                    self.channel().queue_declare("times", durable=True, arguments={"x-message-ttl": value})
        self.serves_also_after_a_restart()

    def test_a_count_of_deaths_of_any_size(self):
        channel = self.channel()
        channel.queue_declare("grave", durable=True)
        channel.queue_declare("q", durable=True, arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "grave"})
        for count in (2**63 - 1, -2**63, 0):
            death = [{"queue": "q", "reason": "rejected", "exchange": "", "routing-keys": ["q"], "count": count}]
            channel.basic_publish("", "q", b"x", pika.BasicProperties(headers={"x-death": death}, delivery_mode=2))
            channel.basic_reject(until(lambda: channel.basic_get("q")[0]).delivery_tag, requeue=False)
        self.serves_also_after_a_restart()

    def test_a_queue_that_gets_its_own_dead_letters(self):
        own = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "loop"}
        for arguments in ({"x-message-ttl": 30, **own}, {"x-max-length": 1, **own}, own,
                          {"x-max-length": 1, "x-dead-letter-exchange": "amq.fanout"}):
            with self.subTest(arguments=arguments):
                channel = self.channel()
                channel.queue_declare("loop", durable=True, arguments=arguments)
                if arguments.get("x-dead-letter-exchange"):
                    channel.queue_bind("loop", "amq.fanout")
                for _ in range(3):
                    channel.basic_publish("", "loop", b"m", pika.BasicProperties(delivery_mode=2, expiration="30"))
                self.serves_also_after_a_restart()
                self.channel().queue_delete("loop")

    def test_a_long_chain_of_dead_letters(self):
        channel = self.channel()
        count = 2000
        for number in range(count):
            channel.queue_declare(f"c{number}", durable=True, arguments={
                "x-message-ttl": 0, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"c{number + 1}"})
        channel.queue_declare(f"c{count}", durable=True)
        begin = time.monotonic()
        channel.basic_publish("", "c0", b"m", pika.BasicProperties(delivery_mode=2))
        self.serves()
        self.assertLess(time.monotonic() - begin, 3)

    def test_a_delayed_retry_never_stops(self):
        """A rejected message is delayed in a queue with a TTL and returns, as is usual with
        RabbitMQ."""
        def lead(key, **more):
            return {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": key, **more}
        channel = self.channel()
        channel.queue_declare("work", durable=True, arguments=lead("retry"))
        channel.queue_declare("retry", durable=True, arguments=lead("work", **{"x-message-ttl": 50}))
        channel.confirm_delivery()
        channel.basic_publish("", "work", b"order", pika.BasicProperties(delivery_mode=2))
        deaths = 0
        for attempt in range(6):
            if attempt == 3:
                self.server.kill()
                self.server.start()
                channel = self.channel()
            delivery, properties, body = until(lambda: (got := channel.basic_get("work"))[0] and got)
            self.assertEqual(body, b"order")
            if attempt == 3 and properties.headers["x-death"][0]["count"] == deaths - 1:
                # A reject is not confirmed, so the broker may have been killed before it arrived.
                deaths -= 1
            if attempt:
                self.assertEqual(properties.headers["x-death"][0]["count"], deaths)
            deaths += 1
            channel.basic_reject(delivery.delivery_tag, requeue=False)

    def test_an_empty_reply_to(self):
        for body in ({"TYPE": "NEW_USER", "DATA": {"USER_ID": 1, "CONNECTION": 1}}, {"TYPE": "DANCE"}, {}):
            for more in ({}, {"correlation_id": ""}, {"correlation_id": "c"}):
                self.channel().basic_publish("USER_MANAGER_EXCHANGE", "UME_USER_SERVER", json.dumps(body).encode(),
                                             pika.BasicProperties(delivery_mode=2, reply_to="", **more))
        self.serves_also_after_a_restart()

    def test_bodies_before_a_login(self):
        with growth(self.server) as grown:
            broker = RawBroker(self.server.ports["broker"], login=False)
            for channel in range(1, 20):
                broker.pour(method(channel, 60, 40, b"\0\0\0\1q\0") + frame(2, channel, struct.pack(">HHQH", 60, 0, 16 << 20, 0))
                            + frame(3, channel, bytes(131000)) * 100)
            broker.connection.close()
        self.assertLess(grown[0], MEBIBYTES)
        self.serves()

    def test_deliveries_to_a_client_that_does_not_read(self):
        channel = self.channel()
        channel.queue_declare("q")
        channel.confirm_delivery()
        channel.basic_publish("", "q", bytes(1 << 20))
        with growth(self.server) as grown:
            broker = RawBroker(self.server.ports["broker"])
            # Gets the message and requeues it, a thousand times.
            broker.pour(b"".join(method(1, 60, 70, b"\0\0\1q\0") + method(1, 60, 120, struct.pack(">QB", tag, 2)) for tag in range(1, 1001)))
            self.serves()
            broker.connection.close()
        self.assertLess(grown[0], MEBIBYTES)
        self.serves()

    # MARK: HTTP

    def test_a_property_list_that_expands(self):
        """A string with 20,000 references counts as 20,000 copies."""
        text, references = 50_000, 20_000

        def string(value):
            return (bytes([0x50 | len(value)]) if len(value) < 15 else b"\x5f\x12" + struct.pack(">I", len(value))) + value
        names = [b"EMAIL", b"PASSWORD", b"PERSONA_TYPE", b"DATA"]
        objects = [string(name) for name in names]
        objects += [string(b"nobody@example.com"), string(b"password1"), string(b"CUSTOMERS"), b"\xd1\x08\x09",
                    string(b"x"), b"\xaf\x12" + struct.pack(">I", references) + b"\x0a" * references, string(b"A" * text),
                    bytes([0xD4, *range(8)])]
        body, offsets = b"bplist00", []
        for value in objects:
            offsets.append(len(body))
            body += value
        table = len(body)
        body += b"".join(struct.pack(">I", offset) for offset in offsets)
        body += bytes(6) + b"\x04\x01" + struct.pack(">QQQ", len(objects), len(objects) - 1, table)
        with growth(self.server) as grown:
            client = self.client("customers")
            client.connection.request("POST", "/requestSessionCreation", body, {"Content-Type": "application/bytes"})
            self.assertEqual(client.connection.getresponse().status, 400)
        self.assertLess(grown[0], MEBIBYTES)
        self.serves()

    def test_names_of_many_combining_marks(self):
        """A name of twice the length takes at most twice the time. Longer names are refused before
        any work."""
        name = "a" + "\u0301\u0323" * 80_000
        for service, path, field in (("users", "/login", "user"), ("users", "/register", "username"), ("chat", "/login", "username"),
                                     ("chat", "/register", "username"), ("customers", "/requestSessionCreation", "EMAIL")):
            with self.subTest(service, path=path):
                body = {"email": "a@example.com", "password": "password123", "PASSWORD": "x", "PERSONA_TYPE": "CUSTOMERS", field: name}
                begin = time.monotonic()
                self.assertIn(self.client(service).send("POST", path, body)[0], (400, 401))
                self.assertLess(time.monotonic() - begin, 1)
        self.serves()

    def test_failed_logins_under_long_names(self):
        with growth(self.server) as grown:
            for service, field in (("users", "user"), ("chat", "username")):
                client = self.client(service)
                for number in range(150):
                    self.assertEqual(client.send("POST", "/login", {field: f"{number}" + "x" * 1_000_000, "password": "wrong password"})[0], 400)
        self.assertLess(grown[0], MEBIBYTES)
        self.serves()

    def test_a_page_of_another_origin(self):
        client = self.client("manager")
        for fields, status in (({"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, 403), ({"Origin": "null"}, 403),
                               ({"Host": "rebind.example"}, 421), ({"X-Forwarded-For": "203.0.113.9"}, 403), ({"Via": "1.1 proxy"}, 403),
                               ({"Forwarded": "for=203.0.113.9"}, 403), ({"Sec-Fetch-Site": "same-site"}, 403), ({}, 200)):
            for path in ("/overview", "/UserServer"):
                with self.subTest(path, fields=fields):
                    client.connection.request("GET", path, headers=fields)
                    answer = client.connection.getresponse()
                    answer.read()
                    self.assertEqual(answer.status, status)
                    self.assertIsNone(answer.headers["access-control-allow-origin"])
        answer = self.client("users").send("POST", "/check_node", {"EMAIL": "a", "PASSWORD": "b", "TYPE": "c"}, headers={"Origin": "https://evil.example"})
        self.assertEqual(answer[0], 403)

    def test_failed_logins_do_not_lock_others_out(self):
        self.client("users").register("ann")

        def request(email, password):
            return self.client("customers").send("POST", "/requestSessionCreation", {
                "EMAIL": email, "PASSWORD": password, "PERSONA_TYPE": "CUSTOMERS"})[0]
        for number in range(110):
            request(f"nobody{number}@example.com", "wrong password")
        self.assertEqual(request("ann@example.com", "password123"), 200)

    # MARK: Socket.IO

    def test_one_socket_of_a_connection_in_a_namespace(self):
        chat = self.client("chat")
        chat.send("POST", "/register", {"username": "bob", "password": "password123"})
        session = chat.send("POST", "/login", {"username": "bob", "password": "password123"})[1]["sessionID"]
        url = "/socket.io/?EIO=4&transport=polling"
        for namespace in ("/", "/users"):
            with self.subTest(namespace):
                chat.connection.request("GET", url)
                sid = json.loads(chat.connection.getresponse().read()[1:])["sid"]
                connect = "40" + ("" if namespace == "/" else namespace + ",") + json.dumps({"sessionID": session})
                chat.connection.request("POST", f"{url}&sid={sid}", "\x1e".join([connect] * 3))
                self.assertEqual(chat.connection.getresponse().read(), b"ok")
                packets = []

                def read():
                    chat.connection.request("GET", f"{url}&sid={sid}")
                    packets.extend(chat.connection.getresponse().read().decode().split("\x1e"))
                    return sum(packet.startswith(("40", "44")) for packet in packets) == 3
                until(read)
                self.assertEqual(sum(packet.startswith("44") for packet in packets), 2, packets)
                chat.connection.request("POST", f"{url}&sid={sid}", "1")
                chat.connection.getresponse().read()
        until(lambda: self.client("manager").send("GET", "/UserServer")[1]["FREE"] == 0)
        socket = SocketClient(reconnection=False)
        socket.connect(self.server.urls["chat"], auth={"sessionID": session}, transports=["websocket"], wait_timeout=5)
        socket.disconnect()

    def flood(self, messages):
        """Twenty connections send messages as text or bytes, and read nothing."""
        data = b"".join(map(client_frame, messages))
        with growth(self.server) as grown:
            for _ in range(20):
                connection = web_socket(self.server)
                self.addCleanup(connection.close)
                connection.settimeout(2)
                with contextlib.suppress(OSError):
                    connection.sendall(data)
        self.assertLess(grown[0], MEBIBYTES)
        self.serves()

    def test_large_connects(self):
        self.flood([f"40{namespace}" + json.dumps({"sessionID": "x" * 900_000}) for namespace in ("", "/users,", "/none,")] * 10)

    def test_attachments_for_an_unknown_socket(self):
        placeholders = ",".join(f'{{"_placeholder":true,"num":{number}}}' for number in range(20))
        self.flood([f'4520-["send_message",{placeholders}]'] + [bytes(900_000)] * 19)

    # MARK: The process

    def test_a_log_without_a_reader(self):
        # The harness does not read standard error, so its pipe is full after a few hundred lines.
        with Server(services=("users",), log_level="debug") as server:
            for _ in range(2000):
                client = Client(server.port)
                client.connection.timeout = 5
                self.assertEqual(client.send("GET", "/health")[0], 200)
                client.connection.close()
            self.assertEqual(server.stop(), 0)


class Files(unittest.TestCase):
    def test_files_that_are_empty_or_end_early(self):
        for text in ("", "// a comment", "{a:", "[", "{", "{name: 'x'", "\ufeff", "'", "/*"):
            with self.subTest(text), tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "file.json5")
                with open(path, "w") as file:
                    file.write(text)
                for command in (["simulate", path], ["serve", "--check", "--data", folder, "--config", path]):
                    result = subprocess.run([BINARY, *command], capture_output=True, text=True, timeout=20)
                    self.assertEqual(result.returncode, 2, (command, result.stderr))
                    self.assertRegex(result.stderr, r"^[^\n]*file\.json5:\d+:\d+[^\n]*\n$")


if __name__ == "__main__":
    unittest.main()
