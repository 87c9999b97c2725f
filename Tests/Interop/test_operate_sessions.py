"""`parley sessions end` and `parley users export`, beside running services and on the files of stopped
ones."""

import json
import os
import tempfile
import unittest

from harness import Client, Server
from test_operate_users import changed, check_refusals, command
from test_sessions import Customer, User, until

SERVICES = ("broker", "users", "manager", "supervisor", "chat", "customers")


def sessions(data):
    return {row["session"]: row["status"] for row in json.loads(command(data, "sessions", "list", "--json")[1])}


class Ending(unittest.TestCase):
    def test_running(self):
        with Server(services=SERVICES, secret=None) as server:
            user = User(server.ports["chat"], "ann")
            customer = Customer(server, "customer")
            customer.request(users=1)
            self.assertEqual(customer.initialize()[0], 200)
            self.assertEqual(customer.ask("SEND_MESSAGE", MESSAGE="hello")[0], 200)
            until(lambda: user.heard)
            (session, status), = sessions(server.data).items()
            self.assertEqual(status, "running")
            found = changed(server.data, "sessions", "end", session, "--dry-run")
            self.assertEqual(found, {"session": session, "status": "running", "customer": "customer@example.com"})
            self.assertEqual(customer.status(), "RUNNING")
            self.assertEqual(changed(server.data, "sessions", "end", session), found)
            until(lambda: customer.status() == "IDLE")
            until(lambda: sessions(server.data).get(session) in (None, "ended"))
            code, out, error = command(server.data, "sessions", "end", session)
            self.assertEqual((code, out), (1, ""))
            self.assertRegex(error, "no session|has ended already")
            # The user is free for the next session.
            other = Customer(server, "other")
            other.request(users=1)
            self.assertEqual(other.initialize()[0], 200)
            user.socket.disconnect()

    def test_stopped(self):
        with tempfile.TemporaryDirectory() as data:
            server = Server(services=SERVICES, data=data).start()
            customer = Customer(server, "customer")
            customer.request(users=1)
            self.assertEqual(customer.initialize()[0], 200)
            session, = sessions(data)
            server.kill()
            self.assertEqual(changed(data, "sessions", "end", session)["status"], "running")
            server.start()
            customer.client = Client(server.ports["customers"])
            until(lambda: customer.status() == "IDLE")
            server.stop()
            self.assertEqual(command(data, "check")[0], 0)

    def test_errors(self):
        with tempfile.TemporaryDirectory() as data:
            check_refusals(
                self, data, "sessions", (1, "no manager.db", ("end", "x")),
                (2, "parley sessions end SESSION", ("end",)),
                (2, "unknown flag --limit", ("end", "x", "--limit", "1")))


class Export(unittest.TestCase):
    def test_export(self):
        with Server(services=SERVICES, secret=None) as server:
            chat = Client(server.ports["chat"])
            ids = {}
            for name in ("ann", "bob"):
                chat.send("POST", "/register", {"username": name, "password": "password123"})
                answer = chat.send("POST", "/login", {"username": name, "password": "password123"})[1]
                ids[name] = answer["user_id"], answer["sessionID"]
            for one, other in (("ann", "bob"), ("bob", "ann")):
                chat.send("POST", "/addContact", {"sessionID": ids[one][1], "contact": other})
            group = chat.send("POST", "/createGroup", {"sessionID": ids["ann"][1], "name": "friends", "members": ["bob"]})[1]
            from harness import SocketClient
            for name in ("ann", "bob"):
                socket = SocketClient(reconnection=False)
                socket.connect(server.urls["chat"], auth={"sessionID": ids[name][1]}, transports=["websocket"])
                other = ids["bob" if name == "ann" else "ann"][0]
                for target, is_group in ((other, False), (group["group_id"], True)):
                    answer = socket.call("send_message", {
                        "sessionID": ids[name][1], "recipient_id": target, "content": f"by {name}", "type": "text",
                        "is_group": is_group}, timeout=10)
                    self.assertEqual(answer["status"], "ok")
                socket.disconnect()
            user = User(server.ports["chat"], "helper")
            customer = Customer(server, "customer")
            customer.request(users=1)
            customer.initialize()
            customer.ask("SEND_MESSAGE", MESSAGE="a question")
            until(lambda: user.heard)
            user.say("an answer")
            until(lambda: len(customer.transcript()) == 2)

            def export(name):
                code, out, error = command(server.data, "users", "export", name)
                self.assertEqual(code, 0, error)
                return json.loads(out)

            ann = export("ann")
            self.assertEqual((ann["username"], ann["chat"]["user_id"], len(ann["sessions"])), ("ann", ids["ann"][0], 1))
            self.assertEqual(ann["chat"]["contacts"], [{"username": "bob", "status": "friend"}])
            self.assertEqual(ann["chat"]["groups"], [{"group_id": group["group_id"], "name": "friends", "is_admin": True,
                                                     "is_member": True}])
            messages = ann["chat"]["messages"]
            self.assertEqual([message["content"] for message in messages], ["by ann", "by ann"])
            self.assertEqual((messages[0]["recipient"], messages[1]["group_id"]), ("bob", group["group_id"]))
            # Neither a secret nor what others have said is in it.
            text = json.dumps(ann)
            for secret in (ids["ann"][1], "by bob", "pbkdf2"):
                self.assertNotIn(secret, text)
            asker = export("customer@example.com")
            self.assertEqual(asker["customer"]["status"], "RUNNING")
            said = [line["message"] for line in asker["customer"]["transcript"]]
            self.assertEqual(said, ["a question", "an answer"])
            own, = asker["supervised_sessions"]["as_customer"]
            self.assertEqual([line["message"] for line in own["transcript"]], said)
            helper = export("helper")
            self.assertEqual([line["message"] for line in helper["supervised_sessions"]["as_user"]], ["an answer"])
            self.assertIsNone(helper["customer"])
            code, out, error = command(server.data, "users", "export", "nobody")
            self.assertEqual((code, out), (1, ""))
            self.assertIn("no account", error)
            user.socket.disconnect()
            self.assertEqual(server.stop(), 0)
            self.assertEqual(export("ann"), ann)


if __name__ == "__main__":
    unittest.main()
