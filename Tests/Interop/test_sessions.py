"""The whole system as processes, with other clients: a customer, two users, and supervisors that
are killed during the conversation."""

import itertools
import json
import pickle
import plistlib
import queue
import signal
import time
import unittest

import pika

import rabbit
from harness import Client, Server, SocketClient


class User:
    """A user who is connected to the namespace /users."""

    def __init__(self, port, name):
        client = Client(port)
        client.send("POST", "/register", {"username": name, "password": "password123"})
        answer = client.send("POST", "/login", {"username": name, "password": "password123"})[1]
        self.id, self.session, self.port = answer["user_id"], answer["sessionID"], port
        self.heard = []
        self.connect()

    def connect(self):
        self.socket = SocketClient(reconnection=False)
        self.socket.on("session_message", self.heard.append, namespace="/users")
        self.socket.connect(f"http://127.0.0.1:{self.port}", transports=["websocket"], namespaces=["/users"],
                            auth={"sessionID": self.session}, wait_timeout=5)

    def say(self, text, **more):
        return self.socket.call("user_message", {"MESSAGE": text, **more}, namespace="/users", timeout=10)


class Customer:
    def __init__(self, server, name):
        users = Client(server.ports["users"])
        users.register(name)
        self.client, self.email = Client(server.ports["customers"]), f"{name}@example.com"

    def request(self, users=2, password="password123", **more):
        status, answer = self.client.send("POST", "/requestSessionCreation", {
            "EMAIL": self.email, "PASSWORD": password, "PERSONA_TYPE": "CUSTOMERS", "DATA": {"USER_COUNT": users}, **more})
        self.token = answer.get("SESSION_TOKEN")
        return status, answer["MESSAGE"]

    def initialize(self):
        status, answer = self.client.send("POST", "/initializeSession", {"EMAIL": self.email})
        return status, answer["MESSAGE"]

    def status(self):
        from urllib.parse import quote
        question = quote(json.dumps({"PERSONA_TYPE": "CUSTOMERS", "EMAIL": self.email}))
        return self.client.send("GET", "/sessionSTATUS?message=" + question)[1]["MESSAGE"]

    def ask(self, request, token=None, **data):
        return self.client.send("PUT", "/handleSessionRequests", {
            "EMAIL": self.email, "SESSION_TOKEN": token or self.token, "REQUEST": request, "DATA": data})

    def transcript(self):
        return self.ask("GET_MESSAGES", AFTER=0)[1]["MESSAGES"]


def until(condition, timeout=20):
    end = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError("timed out")
        time.sleep(0.02)
    return value


class Sessions(unittest.TestCase):
    def setUp(self):
        self.servers = []
        self.names = (f"user{n}" for n in itertools.count())

    def tearDown(self):
        for server in reversed(self.servers):
            if server.process.poll() is None:
                server.kill()
            if server.folder:
                server.folder.cleanup()

    def serve(self, *services, amqp=None):
        server = Server(*(["--amqp", amqp] if amqp else []), services=services)
        self.servers.append(server)
        return server.start()

    def overview(self, server):
        return Client(server.ports["manager"]).send("GET", "/overview")[1]

    def conversation(self, amqp=None):
        """A customer and two users talk while their supervisor is killed. The transcript has every
        message once, in order."""
        core = self.serve(*([] if amqp else ["broker"]), "users", "manager", "chat", "customers", amqp=amqp)
        amqp = amqp or core.urls["amqp"]
        hosts = [self.serve("supervisor", amqp=amqp) for _ in range(2)]
        until(lambda: len(self.overview(core)["HOSTS"]) == 2)
        users = [User(core.ports["chat"], next(self.names)) for _ in range(2)]
        until(lambda: self.overview(core)["FREE"] == 2)
        customer = Customer(core, "customer")
        self.assertEqual(customer.request(), (200, "SESSION_CREATION_REQUEST_ACCEPTED"))
        self.assertEqual(customer.initialize(), (200, "SESSION_INITIALIZED"))
        until(lambda: len(self.overview(core)["SUPERVISORS"][0]["LIST_USER_ID"]) == 2)
        said = []

        def talk(count):
            for number in range(count):
                for user in users:
                    text = f"{user.id}/{len(said)}"
                    self.assertEqual(user.say(text, client_id=text)["status"], "ok")
                    said.append((user.id, text))
                text = f"customer/{len(said)}"
                self.assertEqual(customer.ask("SEND_MESSAGE", MESSAGE=text)[0], 200)
                said.append(("CUSTOMER", text))
        talk(10)
        until(lambda: len(customer.transcript()) == len(said))
        # The process of the session's host is killed during the conversation.
        first = self.overview(core)["SUPERVISORS"][0]
        victim = next(h for h in hosts if f"-{h.process.pid}-" in first["HOST"])
        talk(3)
        victim.process.send_signal(signal.SIGKILL)
        begin = time.monotonic()
        talk(10)
        until(lambda: self.overview(core)["SUPERVISORS"][0]["EPOCH"] == 2 and self.overview(core)["SUPERVISORS"][0]["STATUS"] == "running")
        self.assertLess(time.monotonic() - begin, 8)
        talk(5)
        until(lambda: len(customer.transcript()) >= len(said))
        transcript = customer.transcript()
        self.assertEqual([m["SEQ"] for m in transcript], list(range(1, len(said) + 1)))
        self.assertEqual(sorted((str(m["FROM"]), m["MESSAGE"]) for m in transcript), sorted((str(f), t) for f, t in said))
        for sender in (users[0].id, users[1].id, "CUSTOMER"):
            self.assertEqual([m["MESSAGE"] for m in transcript if m["FROM"] == sender], [t for f, t in said if f == sender])
        for user in users:
            wanted = [(m["SEQ"], m["FROM"], m["MESSAGE"]) for m in transcript if m["FROM"] != user.id]
            until(lambda: len(user.heard) >= len(wanted))
            self.assertEqual([(m["SEQ"], m["FROM"], m["MESSAGE"]) for m in user.heard], wanted)
        # A user leaves, and another user replaces them.
        third = User(core.ports["chat"], next(self.names))
        users[0].socket.disconnect()
        until(lambda: self.overview(core)["SUPERVISORS"][0]["LIST_USER_ID"] == [users[1].id, third.id])
        third.say("hello")
        until(lambda: customer.transcript()[-1]["MESSAGE"] == "hello")
        self.assertEqual(customer.ask("END_SESSION")[0], 200)
        until(lambda: self.overview(core)["FREE"] == 2)
        self.assertEqual(customer.status(), "IDLE")
        for user in (users[1], third):
            user.socket.disconnect()
        until(lambda: self.overview(core)["FREE"] == 0)
        return core

    def test_embedded_broker(self):
        self.conversation()

    def test_rabbitmq(self):
        broker = rabbit.Rabbit().start()
        try:
            self.conversation(broker.url)
        finally:
            broker.stop()

    def test_customer_server(self):
        core = self.serve("broker", "users", "manager", "chat", "customers")
        customer = Customer(core, "ann")
        client = customer.client
        self.assertEqual(client.send("GET", "/serverRunning"), (200, {"MESSAGE": "SERVER_RUNNING"}))
        self.assertEqual(customer.status(), "IDLE")
        self.assertEqual(customer.request(password="wrong password"), (401, "INVALID_EMAIL_OR_PASSWORD"))
        self.assertEqual(customer.request(PERSONA_TYPE="USERS"), (400, "INVALID_REQUEST"))
        self.assertEqual(customer.request(users=0), (400, "INVALID_REQUEST"))
        self.assertEqual(customer.initialize(), (404, "NO_SESSION_PENDING"))
        self.assertEqual(customer.request(users=1), (200, "SESSION_CREATION_REQUEST_ACCEPTED"))
        token = customer.token
        self.assertEqual(customer.request(), (400, "SESSION_ALREADY_RUNNING"))
        customer.token = token
        self.assertEqual(customer.status(), "PENDING")
        # There is no supervisor host, so the request is pending again after 5 s.
        self.assertEqual(customer.initialize(), (500, "SESSION_CREATION_FAILED"))
        self.assertEqual(customer.status(), "PENDING")
        self.serve("supervisor", amqp=core.urls["amqp"])
        self.assertEqual(customer.initialize(), (200, "SESSION_INITIALIZED"))
        self.assertEqual(customer.status(), "RUNNING")
        self.assertEqual(customer.ask("GET_MESSAGES", token="0" * 64), (401, {"MESSAGE": "INVALID_SESSION_TOKEN"}))
        self.assertEqual(customer.ask("DANCE")[0], 400)
        self.assertEqual(customer.ask("END_SESSION")[0], 200)
        self.assertEqual(customer.ask("GET_MESSAGES"), (404, {"MESSAGE": "NO_SESSION_RUNNING"}))
        # Property lists are accepted, pickles are refused.
        def raw(body, path="/requestSessionCreation"):
            client.connection.request("POST", path, body, {"Content-Type": "application/bytes"})
            answer = client.connection.getresponse()
            return answer.status, json.loads(answer.read())["MESSAGE"]
        request = {"EMAIL": customer.email, "PASSWORD": "password123", "PERSONA_TYPE": "CUSTOMERS", "DATA": {"USER_COUNT": "ALL", "ü": [1, 2.5, True, "ж"]}}
        self.assertEqual(raw(plistlib.dumps(request, fmt=plistlib.FMT_BINARY)), (200, "SESSION_CREATION_REQUEST_ACCEPTED"))
        self.assertEqual(raw(pickle.dumps(request))[0], 415)
        self.assertEqual(raw(b"bplist00" + b"\xff" * 60)[0], 400)
        self.assertEqual(client.send("POST", "/initializeSession", {})[0], 400)

    def test_a_foreign_supervisor_and_bad_messages(self):
        core = self.serve("broker", "users", "manager", "chat")
        user = User(core.ports["chat"], "Bea")
        until(lambda: self.overview(core)["FREE"] == 1)
        connection = pika.BlockingConnection(pika.URLParameters(core.urls["amqp"].replace("//", "//guest:guest@") + "/"))
        channel = connection.channel()
        channel.queue_declare("answers", exclusive=True)
        numbers = itertools.count()

        def ask(type, data=None, queue="UME_SESSION_SUPERVISOR", id="foreign", format="JSON", **headers):
            body = {"TYPE": type, "DATA": data or {}}
            channel.basic_publish("USER_MANAGER_EXCHANGE", queue,
                                  json.dumps(body).encode() if format == "JSON" else plistlib.dumps(body, fmt=plistlib.FMT_BINARY),
                                  pika.BasicProperties(reply_to="answers", correlation_id=str(next(numbers)), delivery_mode=2,
                                                       headers={"SESSION_SUPERVISOR_ID": id, "DATA_FORMAT": format, **headers}))
            return json.loads(until(lambda: channel.basic_get("answers", auto_ack=True)[2]))
        self.assertEqual(ask("INITIALIZE_SESSION"), {"STATUS": "SUCCESS"})
        self.assertEqual(ask("INITIALIZE_SESSION", id="unknown", SESSION_EPOCH=3)["STATUS"], "FAILED")
        self.assertEqual(ask("NEW_SESSION", {"USER_COUNT": 2}, format="BYTES"), {"LIST_USER_ID": [user.id], "NOTICE": "NOT_SUFFICIENT"})
        self.assertEqual(ask("SEND_MESSAGE_TO_USER", {"USER_ID": user.id, "MESSAGE_FOR_USER": "hi"}), {"STATUS": "SUCCESS"})
        self.assertEqual(until(lambda: user.heard), [{"MESSAGE": "hi"}])
        self.assertEqual(ask("SEND_MESSAGE_TO_USER", {"USER_ID": 999, "MESSAGE_FOR_USER": "hi"})["STATUS"], "FAILED")
        user.say("hello")
        method, _, body = until(lambda: (got := channel.basic_get("SSE_foreign_UM", auto_ack=True))[0] and got)
        self.assertEqual(json.loads(body)["DATA"]["MESSAGE"], "hello")
        second = User(core.ports["chat"], "Cid")
        told = json.loads(until(lambda: channel.basic_get("SSE_foreign_UM", auto_ack=True)[2]))
        self.assertEqual(told, {"TYPE": "USER_MANAGER_MESSAGE", "DATA": {"TYPE": "USERS_ASSIGNED", "DATA": {"LIST_USER_ID": [second.id]}}})
        append = {"MESSAGE_ID": "m1", "FROM": user.id, "MESSAGE": "x"}
        self.assertEqual(ask("APPEND_TRANSCRIPT", append)["SEQ"], 1)
        self.assertEqual(ask("APPEND_TRANSCRIPT", append)["SEQ"], 1)
        self.assertEqual(ask("USER_RELEASED", {"LIST_USER_ID": [user.id, second.id]}), {"STATUS": "SUCCESS"})
        status, answer = Client(core.ports["manager"]).send("POST", "/SessionSupervisor/NewSession", {"USER_COUNT": "ALL"},
                                                            headers={"SESSION_SUPERVISOR_ID": "foreign"})
        self.assertEqual((status, answer), (200, {"LIST_USER_ID": [user.id, second.id], "NOTICE": "SUFFICIENT"}))
        # An unreadable message becomes a dead letter and stops nothing.
        for body in (b"not json", b"[]", b'{"TYPE": "DANCE"}', b'{"TYPE": "NEW_USER", "DATA": {}}'):
            for name in ("UME_USER_SERVER", "UME_CUSTOMER_SERVER", "UME_SESSION_SUPERVISOR"):
                channel.basic_publish("USER_MANAGER_EXCHANGE", name, body)
        self.assertEqual(ask("HEARTBEAT"), {"STATUS": "SUCCESS"})
        letters = []
        until(lambda: (got := channel.basic_get("PARLEY_DEAD_LETTER", auto_ack=True))[0] and letters.append(got) or len(letters) == 12)
        self.assertTrue(all(p.headers["PARLEY_REASON"] for _, p, _ in letters))
        self.assertEqual(self.overview(core)["DEAD_LETTERS"], 12)
        connection.close()


if __name__ == "__main__":
    unittest.main()
