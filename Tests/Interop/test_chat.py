"""The Chat Service over REST, and over Socket.IO with python-socketio."""

import queue
import time
import unittest
import urllib.parse

import socketio

from harness import Client, Server, SocketClient


class Person:
    """A user with a session, and a socket that records all events."""

    def __init__(self, port, name, transports=None, connect=True):
        self.port, self.name, self.client = port, name, Client(port)
        status, answer = self.client.send("POST", "/register", {"username": name, "password": "password123"})
        assert status == 200, answer
        self.id = answer["user_id"]
        status, answer = self.client.send("POST", "/login", {"username": name, "password": "password123"})
        assert status == 200, answer
        self.session = answer["sessionID"]
        self.sockets = []
        if connect:
            self.connect(transports)

    def connect(self, transports=None, **auth):
        socket = SocketClient(reconnection=False)
        socket.heard = queue.Queue()
        socket.on("*", lambda event, *data: socket.heard.put((event, *data)))
        socket.gone = queue.Queue()
        socket.on("disconnect", lambda *_: socket.gone.put(True))
        socket.connect(f"http://127.0.0.1:{self.port}", transports=transports,
                       auth={"sessionID": self.session, **auth}, wait_timeout=5)
        self.sockets.append(socket)
        return socket

    def receive(self, event, socket=0, timeout=5):
        """Returns the next event of this name, and skips others."""
        end = time.monotonic() + timeout
        while True:
            name, *data = self.sockets[socket].heard.get(timeout=max(0.01, end - time.monotonic()))
            if name == event:
                return data[0]

    def receives_nothing(self, event, socket=0, timeout=0.3):
        try:
            heard = self.receive(event, socket, timeout)
        except queue.Empty:
            return
        raise AssertionError(f"received {event}: {heard}")

    def post(self, path, **body):
        return self.client.send("POST", path, {"sessionID": self.session, **body})

    def get(self, path, **query):
        return self.client.send("GET", path + "?" + urllib.parse.urlencode({"sessionID": self.session, **query}))

    def send(self, recipient, content, socket=0, **more):
        return self.sockets[socket].call(
            "send_message", {"sessionID": self.session, "recipient_id": recipient, "content": content, **more}, timeout=5)

    def close(self):
        for socket in self.sockets:
            socket.disconnect()


def befriend(a, b):
    assert a.post("/addContact", contact=b.name)[0] == 200
    assert b.post("/addContact", contact=a.name)[1]["contact"]["status"] == "friend"


class Chat(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(services=("users", "chat")).start()
        cls.port = cls.server.ports["chat"]
        cls.people = []
        cls.count = 0

    @classmethod
    def tearDownClass(cls):
        for person in cls.people:
            person.close()
        assert cls.server.stop() == 0
        cls.server.folder.cleanup()

    def person(self, **options):
        type(self).count += 1
        person = Person(self.port, f"person{self.count}", **options)
        self.people.append(person)
        return person

    def test_rest_in_every_form(self):
        client = Client(self.port)
        self.assertEqual(client.send("GET", "/"), (200, b"Hello World"))
        self.assertEqual(client.send("POST", "/register?username=Query&password=password123")[0], 200)
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        client.connection.request("POST", "/register", "username=F%C3%B6rm&password=password123", form)
        self.assertEqual(client.connection.getresponse().read().decode().count("Förm"), 1)
        self.assertEqual(client.send("POST", "/register", {"username": "query", "password": "password123"})[0], 400)
        status, answer = client.send("GET", "/login?username=Query&password=password123")
        self.assertEqual(status, 200)
        self.assertRegex(answer["sessionID"], "^[0-9a-f]{64}$")
        self.assertIsInstance(answer["user_id"], int)
        self.assertEqual(client.send("POST", "/login", {"username": "Query", "password": "wrong"})[0], 401)
        self.assertEqual(client.send("POST", "/login", {"username": "Query"}), (400, {"error": "password: missing"}))
        self.assertEqual(client.send("GET", "/getContacts"), (400, {"error": "sessionID: missing"}))
        self.assertEqual(client.send("GET", "/getContacts?sessionID=" + "0" * 64)[0], 401)
        self.assertEqual(client.send("GET", "/getContacts?sessionID=" + answer["sessionID"]), (200, []))
        self.assertEqual(client.send("POST", "/logout?sessionID=" + answer["sessionID"])[0], 200)
        self.assertEqual(client.send("GET", "/getContacts?sessionID=" + answer["sessionID"])[0], 401)

    def test_contacts(self):
        ann, bob = self.person(), self.person()
        status, answer = ann.post("/addContact", contact=bob.name)
        self.assertEqual(answer["contact"], {"user_id": bob.id, "username": bob.name, "status": "new", "is_online": False})
        self.assertEqual(bob.receive("contact_request"), {"user_id": ann.id, "username": ann.name})
        self.assertEqual(ann.receive("contact_added")["username"], bob.name)
        self.assertEqual(ann.post("/changeContact", contact=bob.name, status="friend")[0], 400)
        self.assertEqual(ann.send(bob.id, "too early")["status"], "error")
        self.assertEqual(bob.post("/changeContact", contact=ann.name, status="friend")[0], 200)
        self.assertEqual(ann.receive("contact_changed")["status"], "friend")
        self.assertTrue(ann.get("/getContacts")[1][0]["is_online"])
        self.assertEqual(bob.post("/changeContact", contact=ann.name, status="blocked")[0], 200)
        self.assertEqual(ann.post("/changeContact", contact=bob.name, status="new")[0], 400)
        self.assertEqual(ann.send(bob.id, "blocked")["status"], "error")
        self.assertEqual(bob.post("/changeContact", contact=ann.name, status="new")[0], 200)
        self.assertEqual(ann.post("/addContact", contact="nobody at all")[0], 404)
        self.assertEqual(ann.post("/changeContact", contact=self.person().name, status="blocked")[0], 404)
        self.assertEqual(ann.post("/changeContact", contact=bob.name, status="foe")[0], 400)

    def test_messages(self):
        for transports in (["polling"], ["websocket"], None):
            with self.subTest(transports):
                ann, bob = self.person(transports=transports), self.person(transports=transports)
                befriend(ann, bob)
                bob.connect(transports)
                first = ann.send(bob.id, "hello ✓", client_id="c1")
                self.assertEqual(first["status"], "ok")
                self.assertEqual(first["seq"], 1)
                for person, socket in ((ann, 0), (bob, 0), (bob, 1)):
                    message = person.receive("new_message", socket)
                    self.assertEqual(message, {
                        "message_id": first["message_id"], "seq": 1, "sender_id": ann.id, "sender_username": ann.name,
                        "recipient_id": bob.id, "content": "hello ✓", "type": "text",
                        "timestamp": first["timestamp"], "is_group": False})
                self.assertEqual(ann.send(bob.id, "hello ✓", client_id="c1"), first)
                bob.receives_nothing("new_message")
                for number in range(2, 61):
                    self.assertEqual(bob.send(ann.id, f"m{number}", type="item")["seq"], number)
                self.assertEqual([ann.receive("new_message")["seq"] for _ in range(59)], list(range(2, 61)))
                page = ann.get("/getContactMessages", contact=bob.name)[1]
                self.assertEqual([m["seq"] for m in page], list(range(11, 61)))
                page = ann.get("/getContactMessages", contact=bob.name, before=4)[1]
                self.assertEqual([m["seq"] for m in page], [1, 2, 3])
                page = ann.get("/getContactMessages", contact=bob.name, after=58, limit=1)[1]
                self.assertEqual([m["content"] for m in page], ["m59"])
                self.assertEqual(ann.get("/getContactMessages", contact=bob.name, limit=501)[0], 400)

    def test_any_text_is_kept(self):
        ann, bob = self.person(), self.person()
        befriend(ann, bob)
        texts = ["\\", "\\x41", "\\\\101", "a\0b", "'; DROP TABLE messages; --", '"', "$1", "\u2028 \U0001F600", " "]
        for text in texts:
            self.assertEqual(ann.send(bob.id, text, client_id=f"id {text}")["status"], "ok", repr(text))
            self.assertEqual(ann.send(bob.id, text, client_id=f"id {text}")["status"], "ok", repr(text))
        page = bob.get("/getContactMessages", contact=ann.name)[1]
        self.assertEqual([message["content"] for message in page], texts)
        status, group = ann.post("/createGroup", name="\\x41 \\ '", members=[])
        self.assertEqual((status, group["name"]), (200, "\\x41 \\ '"), group)

    def test_invalid_events(self):
        ann, bob = self.person(), self.person()
        befriend(ann, bob)
        socket = ann.sockets[0]
        good = {"sessionID": ann.session, "recipient_id": bob.id, "content": "x"}
        for change, word in (({"recipient_id": str(bob.id)}, "recipient_id"), ({"content": 5}, "content"),
                             ({"content": "x" * 65537}, "content"), ({"type": "song"}, "type"),
                             ({"sessionID": bob.session}, "sessionID"), ({"sessionID": "0" * 64}, "session"),
                             ({"client_id": ""}, "client_id"), ({"recipient_id": 999999}, "friend")):
            answer = socket.call("send_message", {**good, **change}, timeout=5)
            self.assertEqual(answer["status"], "error", change)
            self.assertIn(word, answer["message"])
        self.assertEqual(socket.call("send_message", timeout=5)["status"], "error")
        self.assertEqual(socket.call("send_massage", good, timeout=5)["status"], "error")
        socket.emit("send_message", {"sessionID": ann.session})
        self.assertIn("recipient_id", ann.receive("error")["message"])
        bob.receives_nothing("new_message")
        socket.emit("add_contact", {"sessionID": ann.session, "contact_username": "nobody here"})
        self.assertIn("contact", ann.receive("error")["message"])
        for auth in ({}, {"sessionID": "0" * 64}):
            with self.assertRaises(socketio.exceptions.ConnectionError):
                client = SocketClient(reconnection=False)
                client.connect(f"http://127.0.0.1:{self.port}", auth=auth, wait_timeout=5)

    def test_presence_counts_devices(self):
        ann, bob = self.person(), self.person()
        befriend(ann, bob)
        phone = bob.connect()
        ann.receives_nothing("user_status")
        phone.disconnect()
        ann.receives_nothing("user_status")
        bob.sockets[0].disconnect()
        self.assertEqual(ann.receive("user_status"), {"user_id": bob.id, "username": bob.name, "status": "offline"})
        self.assertFalse(ann.get("/getContacts")[1][0]["is_online"])
        bob.connect()
        self.assertEqual(ann.receive("user_status")["status"], "online")

    def test_typing(self):
        ann, bob, cid = self.person(), self.person(), self.person()
        befriend(ann, bob)
        ann.sockets[0].emit("typing", {"recipient_id": bob.id, "is_group": False})
        self.assertEqual(bob.receive("typing"), {
            "sender_id": ann.id, "sender_username": ann.name, "recipient_id": bob.id, "is_group": False})
        ann.receives_nothing("typing")
        ann.sockets[0].emit("typing", {"recipient_id": cid.id})
        cid.receives_nothing("typing")

    def test_groups(self):
        ann, bob, cid = self.person(), self.person(), self.person()
        status, group = ann.post("/createGroup", name="readers", members=[bob.name])
        self.assertEqual(status, 200)
        id = group["group_id"]
        self.assertEqual(group, {"group_id": id, "name": "readers", "members": [ann.name, bob.name]})
        self.assertEqual(bob.receive("group_changed"), group)
        self.assertEqual(ann.send(id, "one", is_group=True)["seq"], 1)
        self.assertTrue(bob.receive("new_message")["is_group"])
        self.assertEqual(cid.get("/getGroupMessages", group_id=id)[0], 404)
        self.assertEqual(cid.send(id, "let me in", is_group=True)["status"], "error")
        self.assertEqual(bob.post("/addGroupMember", group_id=id, member=cid.name)[0], 403)
        self.assertEqual(cid.post("/addGroupMember", group_id=id, member=cid.name)[0], 404)
        self.assertEqual(ann.post("/addGroupMember", group_id=id, member=cid.name)[1]["members"], [ann.name, bob.name, cid.name])
        self.assertEqual(cid.send(id, "two", is_group=True)["seq"], 2)
        self.assertEqual([m["seq"] for m in cid.get("/getGroupMessages", group_id=id)[1]], [2])
        self.assertEqual(cid.receive("new_message")["content"], "two")
        # The last admin leaves: the oldest member becomes admin.
        self.assertEqual(ann.post("/removeGroupMember", group_id=id, member=ann.name)[0], 200)
        self.assertEqual(ann.receive("new_message")["seq"], 1)
        self.assertEqual(ann.receive("new_message")["seq"], 2)
        self.assertEqual(bob.send(id, "three", is_group=True)["seq"], 3)
        ann.receives_nothing("new_message")
        self.assertEqual(ann.get("/getGroupMessages", group_id=id)[0], 404)
        self.assertEqual(ann.get("/getGroups")[1], [])
        self.assertEqual(bob.post("/removeGroupMember", group_id=id, member=cid.name)[0], 200)
        self.assertEqual(bob.get("/getGroups")[1], [{"group_id": id, "name": "readers", "members": [bob.name]}])

    def test_logout_elsewhere_closes_sockets(self):
        ann = self.person()
        other = Client(self.port)
        self.assertEqual(other.send("POST", "/logout", {"sessionID": ann.session})[0], 200)
        self.assertTrue(ann.sockets[0].gone.get(timeout=5))

    def test_sessions_of_the_user_service(self):
        users = Client(self.server.ports["users"])
        users.register("Zoe")
        token = users.login("Zoe")[1]["access_token"]
        long, short = "s" * 32, "short-session"
        for session in (long, short):
            self.assertEqual(users.send("POST", "/add-session", {"session_id": session}, token)[0], 200)
        chat = Client(self.port)
        self.assertEqual(chat.send("GET", "/getContacts?sessionID=" + long), (200, []))
        self.assertEqual(chat.send("GET", "/getContacts?sessionID=" + short)[0], 401)
        self.assertEqual(chat.send("GET", "/getContacts?sessionID=" + short, token=token), (200, []))
        self.assertEqual(chat.send("GET", "/getContacts?sessionID=" + short, token="x" + token)[0], 401)
        socket = SocketClient(reconnection=False)
        gone = queue.Queue()
        socket.on("disconnect", lambda *_: gone.put(True))
        socket.connect(f"http://127.0.0.1:{self.port}", auth={"sessionID": short, "token": token}, wait_timeout=5)
        begin = time.monotonic()
        self.assertEqual(users.send("DELETE", "/delete-user", token=token)[0], 200)
        self.assertTrue(gone.get(timeout=5))
        self.assertLess(time.monotonic() - begin, 2)
        self.assertEqual(chat.send("GET", "/getContacts?sessionID=" + long)[0], 401)


if __name__ == "__main__":
    unittest.main()
