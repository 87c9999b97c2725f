"""`parley users`, `queues` and `sessions` beside running services."""

import json
import unittest

import pika

from harness import Client, Server
from test_backup import parley
from test_sessions import Customer, User, until

SERVICES = ("broker", "users", "manager", "supervisor", "chat", "customers")


class Views(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(services=SERVICES, secret=None).start()
        cls.addClassCleanup(cls.server.folder.cleanup)
        cls.addClassCleanup(cls.server.kill)
        cls.user = User(cls.server.ports["chat"], "ann")
        cls.addClassCleanup(cls.user.socket.disconnect)
        cls.customer = Customer(cls.server, "customer")
        assert cls.customer.request(users=3)[0] == 200
        assert cls.customer.initialize()[0] == 200
        assert cls.customer.ask("SEND_MESSAGE", MESSAGE="hello")[0] == 200
        until(cls.customer.transcript)
        url = cls.server.urls["amqp"].replace("amqp://", "amqp://guest:guest@") + "/"
        connection = pika.BlockingConnection(pika.URLParameters(url))
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("work", durable=True)
        durable = pika.BasicProperties(delivery_mode=2, type="job")
        for body in (b"first", b"\x1b[31mred", b"\xff\x00"):
            channel.basic_publish("", "work", body, durable)
        channel.basic_publish("USER_MANAGER_EXCHANGE", "UME_USER_SERVER", b"no JSON", durable)
        until(lambda: cls.rows("queues", "dead-letters"))
        connection.close()

    @classmethod
    def run_(cls, *words):
        return parley(*words, "--data", cls.server.data)

    @classmethod
    def rows(cls, *words):
        done = cls.run_(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def test_users(self):
        users = self.rows("users", "list")
        self.assertEqual([user["username"] for user in users], ["ann", "customer"])
        self.assertEqual(users[0]["sessions"], 1)
        self.assertEqual(len(self.rows("users", "list", "--limit", "1")), 1)
        for name in ("customer", "CUSTOMER@example.com", users[1]["user_id"]):
            shown = {row["field"]: row["value"] for row in self.rows("users", "show", name)}
            self.assertEqual((shown["EMAIL"], shown["USER_ID"]), ("customer@example.com", users[1]["user_id"]))
            self.assertEqual(shown["PASSWORD_HASH"].count("$"), 0)
        sessions = self.rows("users", "sessions", "ann")
        self.assertEqual([session["session_id"] for session in sessions], [self.user.session[:6] + "…"])
        self.assertNotIn(self.user.session, self.run_("users", "sessions", "ann").stdout)

    def test_queues(self):
        queues = {queue["queue"]: queue for queue in self.rows("queues", "list")}
        self.assertEqual((queues["work"]["messages"], queues["work"]["bytes"]), (3, 15))
        self.assertIn("UME_CUSTOMER_SERVER", queues)
        peeked = self.rows("queues", "peek", "work")
        self.assertEqual([message["body"] for message in peeked], ["first", "\x1b[31mred", "0xff00"])
        self.assertEqual([message["type"] for message in peeked], ["job"] * 3)
        letter, = self.rows("queues", "dead-letters")
        self.assertEqual((letter["queue"], letter["body"]), ("UME_USER_SERVER", "no JSON"))
        self.assertNotEqual(letter["reason"], "")

    def test_sessions(self):
        session, = self.rows("sessions", "list")
        self.assertEqual((session["status"], session["customer"]), ("running", "customer@example.com"))
        self.assertEqual((session["users"], session["demand"], session["messages"]), (1, 2, 1))

    def test_tables(self):
        lines = self.run_("queues", "peek", "work").stdout.splitlines()
        self.assertEqual(len(lines), 4)
        self.assertEqual(lines[0].split(), ["MESSAGE", "EXCHANGE", "ROUTING_KEY", "TYPE", "BYTES", "BODY"])
        # A body cannot change what the terminal shows.
        self.assertIn("\\u{1b}[31mred", lines[2])
        self.assertEqual({line.index("job") for line in lines[1:]}, {lines[0].index("TYPE")})

    def test_errors(self):
        for code, text, words in (
                (1, 'no account "nobody"', ("users", "show", "nobody")),
                (1, 'no durable queue "none"', ("queues", "peek", "none")),
                (2, "did you mean \"list\"?", ("users", "lst")),
                (2, "users needs a command", ("users",)),
                (2, "parley users show USER", ("users", "show"))):
            done = self.run_(*words)
            self.assertEqual(done.returncode, code)
            self.assertIn(text, done.stderr)
            self.assertEqual(done.stdout, "")


if __name__ == "__main__":
    unittest.main()
