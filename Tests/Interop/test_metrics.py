"""The metrics of all services of a loaded system: their form, their values, and the dashboard and
the alerts that are made of them."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import pika

from harness import Client, Server, SocketClient
from test_sessions import Customer, User, until

ROOT = os.path.join(os.path.dirname(__file__), "..", "..")
SERVICES = ("broker", "users", "manager", "supervisor", "chat", "customers")
# Functions and keywords of PromQL in the expressions of the dashboard and the alerts.
WORDS = {"and", "by", "histogram_quantile", "increase", "on", "rate", "sum", "unless"}


def promtool(*words, text=None):
    program = shutil.which("promtool")
    if not program:
        raise RuntimeError("promtool is needed (Debian: apt-get install prometheus)")
    return subprocess.run([program, *words], input=text, capture_output=True, text=True, timeout=60)


class Metrics(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--broker-http-port", "0", "--supervisor-http-port", "0", services=SERVICES, secret=None).start()
        try:
            cls.load()
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.server.kill()
        cls.server.folder.cleanup()

    @classmethod
    def load(cls):
        """A session with a user, two chatting friends, a queue with messages in every state."""
        chat = Client(cls.server.ports["chat"])
        cls.ann, cls.bob = User(cls.server.ports["chat"], "ann"), User(cls.server.ports["chat"], "bob")
        for person, other in ((cls.ann, "bob"), (cls.bob, "ann")):
            chat.send("POST", "/addContact", {"sessionID": person.session, "contact": other})
        cls.socket = SocketClient(reconnection=False)
        cls.socket.connect(cls.server.urls["chat"], transports=["websocket"], auth={"sessionID": cls.ann.session})
        for number in range(3):
            answer = cls.socket.call("send_message", {"sessionID": cls.ann.session, "recipient_id": cls.bob.id, "content": "x"})
            assert answer["status"] == "ok", answer
        cls.customer = Customer(cls.server, "customer")
        assert cls.customer.request(users=5)[0] == 200
        assert cls.customer.initialize()[0] == 200
        for _ in range(12):
            cls.throttled = Client(cls.server.ports["users"]).send("POST", "/login", {"user": "ann", "password": "wrong"})[0]
        url = cls.server.urls["amqp"].replace("amqp://", "amqp://guest:guest@") + "/"
        cls.connection = pika.BlockingConnection(pika.URLParameters(url))
        channel = cls.connection.channel()
        channel.queue_declare('a "queue"\\', durable=True)
        for number in range(5):
            channel.basic_publish("", 'a "queue"\\', b"x")
        channel.basic_publish("USER_MANAGER_EXCHANGE", "UME_USER_SERVER", b"no JSON")
        cls.held = [channel.basic_get('a "queue"\\')[0] for _ in range(2)]
        until(lambda: cls.value("manager", "parley_messages_set_aside_total") == 1)

    @classmethod
    def page(cls, service):
        status, text = Client(cls.server.ports[service if service != "broker" else "broker-http"]).send("GET", "/metrics")
        assert status == 200, text
        return text.decode()

    @classmethod
    def value(cls, service, name, **labels):
        wanted = {f'{key}="{value}"' for key, value in labels.items()}
        for line in cls.page(service).splitlines():
            if found := re.fullmatch(r"(\w+)\{(.*)\} (\S+)", line):
                if found[1] == name and wanted <= set(re.findall(r'\w+="(?:\\.|[^"\\])*"', found[2])):
                    return float(found[3])
        return None

    def names(self):
        found = set()
        for service in self.services():
            found |= {line.split()[2] for line in self.page(service).splitlines() if line.startswith("# TYPE")}
            found |= {line.split("{")[0] for line in self.page(service).splitlines() if not line.startswith("#")}
        return found

    @staticmethod
    def services():
        return ("users", "chat", "customers", "manager", "broker", "supervisor")

    def test_form(self):
        for service in self.services():
            done = promtool("check", "metrics", text=self.page(service))
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""), service)

    def test_values(self):
        for service, name, labels, expected in (
                ("broker", "parley_queue_messages", {"queue": r'a \"queue\"\\'}, 3),
                ("broker", "parley_broker_messages_unacknowledged", {}, 2),
                ("broker", "parley_queue_messages", {"queue": "PARLEY_DEAD_LETTER"}, 1),
                ("broker", "parley_broker_connections_blocked", {}, 0),
                ("manager", "parley_sessions", {"status": "running"}, 1),
                ("manager", "parley_pool_users", {"place": "serving"}, 2),
                ("manager", "parley_pool_demand_users", {}, 3),
                ("manager", "parley_supervisor_hosts", {}, 1),
                ("manager", "parley_session_takeovers_total", {}, 0),
                ("supervisor", "parley_host_sessions", {}, 1),
                ("chat", "parley_chat_sockets", {}, 3),
                ("chat", "parley_chat_positions_waiting", {}, 0)):
            self.assertEqual(self.value(service, name, **labels), expected, name)
        self.assertEqual(self.throttled, 429)
        self.assertGreaterEqual(self.value("users", "parley_http_requests_total", route="POST /login", status="429"), 1)
        self.assertGreaterEqual(self.value("chat", "parley_chat_positions_published_total"), 3)
        self.assertGreaterEqual(self.value("broker", "parley_broker_messages_total"), 6)
        for service, file in (("users", "accounts.db"), ("chat", "chat.db"), ("manager", "manager.db"),
                              ("customers", "customers.db"), ("broker", "broker.db")):
            size = os.path.getsize(os.path.join(self.server.data, file))
            self.assertEqual(self.value(service, "parley_database_file_bytes", file=file), size)
            self.assertGreater(self.value(service, "parley_database_commit_duration_seconds_count"), 0)
            self.assertGreater(self.value(service, "process_resident_memory_bytes"), 1e6)
            self.assertEqual(self.value(service, "parley_build_info"), 1)

    def test_health(self):
        for port, message in (("broker-http", "the broker is healthy"), ("supervisor", "the supervisor host is healthy")):
            self.assertEqual(Client(self.server.ports[port]).send("GET", "/health")[1]["message"], message)

    def expressions(self):
        with open(os.path.join(ROOT, "dashboards", "parley.json")) as file:
            for panel in json.load(file)["panels"]:
                for target in panel.get("targets", []):
                    yield panel["title"], target["expr"]
        with open(os.path.join(ROOT, "dashboards", "alerts.yml")) as file:
            yield from re.findall(r"alert: (\w+)\n\s+expr: (.+)", file.read())

    def test_dashboard_and_alerts(self):
        done = promtool("check", "rules", os.path.join(ROOT, "dashboards", "alerts.yml"))
        self.assertEqual(done.returncode, 0, done.stderr)
        # As rules, the expressions of the dashboard are parsed as well.
        rules = [{"record": f"panel:{number}", "expr": expression} for number, (_, expression) in enumerate(self.expressions())]
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({"groups": [{"name": "panels", "rules": rules}]}, file)
            file.flush()
            done = promtool("check", "rules", file.name)
            self.assertEqual(done.returncode, 0, done.stderr)
        names, count = self.names(), 0
        for title, expression in self.expressions():
            bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b(by|on) \([^)]*\)", "", expression)
            for name in set(re.findall(r"[a-z_]\w+", bare)) - WORDS:
                self.assertIn(name, names, f"{title}: {expression}")
                count += 1
        self.assertGreater(count, 20)


if __name__ == "__main__":
    unittest.main()
