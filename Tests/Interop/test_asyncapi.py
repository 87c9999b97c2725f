"""The OpenAPI and AsyncAPI documents are valid, state all limits, and agree with the actual
messages."""

import json
import re
import unittest
import urllib.request

import jsonschema_rs
import pika
from openapi_spec_validator import validate

from harness import Client, Server, SocketClient
from test_sessions import Customer, User, until

SERVICES = ("users", "chat", "customers", "manager")


class AsyncAPI(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(services=("broker", "users", "manager", "supervisor", "chat", "customers")).start()

    @classmethod
    def tearDownClass(cls):
        cls.server.kill()
        cls.server.folder.cleanup()

    def read(self, service, name):
        return json.load(urllib.request.urlopen(f"{self.server.urls[service]}/{name}.json"))

    def test_openapi_is_valid(self):
        for service in SERVICES:
            with self.subTest(service):
                document = self.read(service, "openapi")
                validate(document)
                self.assertEqual("/asyncapi.json" in document["paths"], service != "users")

    def test_asyncapi_is_valid(self):
        """The document has the structure of AsyncAPI 3.0.0: required members, known members, valid
        references."""
        for service in SERVICES[1:]:
            with self.subTest(service):
                document = self.read(service, "asyncapi")
                self.assertEqual(document["asyncapi"], "3.0.0")
                self.assertLessEqual({"title", "version"}, set(document["info"]))
                self.assertLessEqual(set(document), {"asyncapi", "info", "defaultContentType", "channels", "operations"})

                def resolve(reference):
                    self.assertEqual(list(reference), ["$ref"])
                    value = document
                    for step in reference["$ref"].removeprefix("#/").split("/"):
                        value = value[step]
                    return value
                for key, channel in document["channels"].items():
                    self.assertRegex(key, r"^[A-Za-z0-9_\-.]+$")
                    self.assertLessEqual(set(channel), {"address", "description", "messages", "bindings", "parameters"})
                    self.assertEqual(set(re.findall(r"\{(\w+)\}", channel["address"])), set(channel.get("parameters", {})))
                    for message in channel["messages"].values():
                        self.assertLessEqual(set(message), {"name", "summary", "headers", "payload"})
                        for part in ("headers", "payload"):
                            if part in message:
                                jsonschema_rs.meta.validate(message[part])
                for operation in document["operations"].values():
                    self.assertIn(operation["action"], ("send", "receive"))
                    self.assertLessEqual(set(operation), {"action", "summary", "channel", "messages", "reply"})
                    channel = resolve(operation["channel"])
                    for part in (operation, operation.get("reply", {"messages": []})):
                        for message in part["messages"]:
                            self.assertIn(resolve(message), list(channel["messages"].values()))

    def test_limits_are_stated_and_kept(self):
        """A value one beyond a stated limit is refused, and the error names the field."""
        ann = User(self.server.ports["chat"], "Ann")
        socket = SocketClient(reconnection=False)
        socket.connect(self.server.urls["chat"], transports=["websocket"], auth={"sessionID": ann.session}, wait_timeout=5)
        self.addCleanup(socket.disconnect)
        self.addCleanup(ann.socket.disconnect)
        channels = self.read("chat", "asyncapi")["channels"]
        message = channels["root"]["messages"]["root_send_message"]["payload"]
        self.assertEqual(message["properties"]["content"]["maxLength"], 65536)
        good = {"sessionID": ann.session, "recipient_id": 1, "content": "x"}
        checked = 0
        for name, schema in message["properties"].items():
            for limit, value in (("maxLength", lambda: "x" * (schema["maxLength"] + 1)), ("enum", lambda: "neither"),
                                 ("minimum", lambda: schema["minimum"] - 1)):
                if limit in schema:
                    answer = socket.call("send_message", {**good, name: value()})
                    self.assertEqual(answer["status"], "error")
                    self.assertIn(name, answer["message"])
                    checked += 1
        self.assertGreaterEqual(checked, 5)
        # Every string and array that a client sends to a queue has a limit.
        for service in ("manager", "customers"):
            for channel in self.read(service, "asyncapi")["channels"].values():
                for name, shape in channel["messages"].items():
                    for field, schema in shape["payload"].get("properties", {}).get("DATA", {}).get("properties", {}).items():
                        if schema.get("type") == "string" and "enum" not in schema:
                            self.assertIn("maxLength", schema, f"{name}.{field}")
                        if schema.get("type") == "array":
                            self.assertIn("maxItems", schema, f"{name}.{field}")

    def test_events_match_the_document(self):
        channels = self.read("chat", "asyncapi")["channels"]
        shapes = {(c["address"], m["name"]): jsonschema_rs.validator_for(m["payload"]) for c in channels.values() for m in c["messages"].values()}
        heard = []
        sockets = []
        people = []
        for name in ("Bob", "Cid"):
            client = Client(self.server.ports["chat"])
            client.send("POST", "/register", {"username": name, "password": "password123"})
            people.append(client.send("POST", "/login", {"username": name, "password": "password123"})[1])
            socket = SocketClient(reconnection=False)
            socket.on("*", lambda event, data: heard.append(("/", event, data)))
            socket.connect(self.server.urls["chat"], transports=["websocket"], auth={"sessionID": people[-1]["sessionID"]}, wait_timeout=5)
            sockets.append(socket)
            self.addCleanup(socket.disconnect)
        bob, cid = people
        answers = [("add_contact answer", sockets[0].call("add_contact", {"sessionID": bob["sessionID"], "contact_username": "Cid"})),
                   ("add_contact answer", sockets[1].call("add_contact", {"sessionID": cid["sessionID"], "contact_username": "Bob"})),
                   ("send_message answer", sockets[0].call("send_message", {"sessionID": bob["sessionID"], "recipient_id": cid["user_id"], "content": "hi"})),
                   ("send_message answer", sockets[0].call("send_message", {"sessionID": "no", "recipient_id": 1, "content": "hi"}))]
        client.send("POST", "/createGroup", {"sessionID": bob["sessionID"], "name": "g", "members": ["Cid"]})
        sockets[0].emit("typing", {"recipient_id": cid["user_id"], "is_group": False})
        sockets[0].emit("typing", {"recipient_id": 0})
        wanted = {"new_message", "contact_added", "contact_request", "contact_changed", "group_changed", "typing", "error"}
        until(lambda: wanted <= {event for _, event, _ in heard})
        for namespace, event, data in heard:
            shapes[namespace, event].validate(data)
        for name, answer in answers:
            shapes["/", name].validate(answer)

    def test_queue_messages_match_the_document(self):
        document = self.read("manager", "asyncapi")
        shapes = {(c["address"], m["name"]): jsonschema_rs.validator_for(m["payload"])
                  for c in document["channels"].values() for m in c["messages"].values() if not m["name"].endswith("answer")}
        connection = pika.BlockingConnection(pika.URLParameters(self.server.urls["amqp"].replace("//", "//guest:guest@") + "/"))
        channel = connection.channel()
        # This queue gets a copy of each message.
        queues = {c["address"]: re.search(r"Its exchange is (\w+)", c["description"])[1] for c in document["channels"].values()}
        channel.queue_declare("copies", exclusive=True)
        names = [name.replace("{id}", f"s{n}") for name in queues for n in ((1, 2, 3) if "{id}" in name else (1,))]
        for name in names:
            channel.queue_bind("copies", queues.get(name) or queues[re.sub(r"s\d", "{id}", name)], name)
        user = User(self.server.ports["chat"], "Dan")
        customer = Customer(self.server, "eve")
        self.assertEqual(customer.request(1)[0], 200)
        until(lambda: customer.initialize()[0] == 200)
        until(lambda: Client(self.server.ports["manager"]).send("GET", "/overview")[1]["FREE"] == 0)
        self.assertEqual(customer.ask("SEND_MESSAGE", MESSAGE="hello")[0], 200)
        until(lambda: user.heard)
        user.say("good day")
        until(lambda: len(customer.transcript()) == 2)
        self.assertEqual(customer.ask("END_SESSION")[0], 200)
        user.socket.disconnect()
        seen = set()

        def read():
            while (got := channel.basic_get("copies", auto_ack=True))[0]:
                method, _, body = got
                message = json.loads(body)
                key = re.sub(r"SSE_s\d+_", "SSE_{id}_", method.routing_key), message["TYPE"]
                shapes[key].validate(message)
                seen.add(key[1])
            return {"NEW_USER", "REMOVE_USER", "USER_MESSAGE", "START_SESSION", "END_SESSION", "START_SUPERVISOR", "INITIALIZE_SESSION",
                    "NEW_SESSION", "APPEND_TRANSCRIPT", "SESSION_RUNNING", "SESSION_MESSAGE", "SESSION_ENDED", "SEND_MESSAGE_TO_USER"} <= seen
        try:
            until(read)
        except AssertionError:
            self.fail(f"received only {sorted(seen)}")
        connection.close()


if __name__ == "__main__":
    unittest.main()
