"""`parley queues purge`, `dead-letters replay` and `drop`, over a running broker, on the files of a
stopped one, and over RabbitMQ."""

import json
import os
import tempfile
import unittest

import pika

import rabbit
from harness import Server
from test_operate_users import changed, check_refusals, command
from test_sessions import until

PERSISTENT = pika.BasicProperties(delivery_mode=2, message_id="m1", headers={"own": 7})


def connect(server, **flags):
    user = "parley:a service token of sufficient length" if server.flags[:1] == ["--service-token"] else "guest:guest"
    url = server.urls["amqp"].replace("amqp://", f"amqp://{user}@".replace(" ", "%20")) + "/"
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.confirm_delivery()
    return connection, channel


def depth(data, queue):
    return {row["queue"]: row["messages"] for row in json.loads(command(data, "queues", "list", "--json")[1])}[queue]


class Running(unittest.TestCase):
    flags = ()

    def test_dead_letters(self):
        with Server(*self.flags, services=("broker", "users", "manager"), secret=None) as server:
            data = server.data
            connection, channel = connect(server)
            for body in (b"no JSON", b"[]", b"{"):
                channel.basic_publish("USER_MANAGER_EXCHANGE", "UME_USER_SERVER", body, PERSISTENT)
            channel.basic_publish("USER_MANAGER_EXCHANGE", "UME_CUSTOMER_SERVER", b"7", PERSISTENT)
            until(lambda: depth(data, "PARLEY_DEAD_LETTER") == 4)
            trial = changed(data, "queues", "dead-letters", "replay", "--dry-run")
            self.assertEqual(trial, [{"queue": "UME_USER_SERVER", "result": "replayed", "messages": 3},
                                     {"queue": "UME_CUSTOMER_SERVER", "result": "replayed", "messages": 1}])
            # The service still cannot read them, so they come back, with the same headers.
            replayed = changed(data, "queues", "dead-letters", "replay", "--queue", "UME_USER_SERVER")
            self.assertEqual(replayed, trial[:1])
            until(lambda: depth(data, "PARLEY_DEAD_LETTER") == 4)
            letters = json.loads(command(data, "queues", "dead-letters", "--json")[1])
            self.assertEqual([letter["body"] for letter in letters], ["7", "no JSON", "[]", "{"])
            method, properties, _ = channel.basic_get("PARLEY_DEAD_LETTER")
            channel.basic_nack(method.delivery_tag)
            self.assertEqual({name: properties.headers[name] for name in ("PARLEY_EXCHANGE", "PARLEY_ROUTING_KEY", "own")},
                             {"PARLEY_EXCHANGE": "USER_MANAGER_EXCHANGE", "PARLEY_ROUTING_KEY": "UME_CUSTOMER_SERVER",
                              "own": 7})
            code, out, _ = command(data, "queues", "dead-letters", "drop", "--limit", "2")
            self.assertEqual((code, [line.split() for line in out.splitlines()]), (0, [
                ["QUEUE", "RESULT", "MESSAGES"], ["UME_CUSTOMER_SERVER", "dropped", "1"],
                ["UME_USER_SERVER", "dropped", "1"]]))
            until(lambda: depth(data, "PARLEY_DEAD_LETTER") == 2)
            self.assertEqual(changed(data, "queues", "purge", "PARLEY_DEAD_LETTER"),
                             [{"queue": "PARLEY_DEAD_LETTER", "result": "purged", "messages": 2}])
            until(lambda: depth(data, "PARLEY_DEAD_LETTER") == 0)
            # A letter whose exchange is gone stays, and the command says so.
            channel.basic_publish("", "PARLEY_DEAD_LETTER", b"x", pika.BasicProperties(headers={
                "PARLEY_QUEUE": "q", "PARLEY_EXCHANGE": "none", "PARLEY_ROUTING_KEY": "q"}, delivery_mode=2))
            code, out, _ = command(data, "queues", "dead-letters", "replay")
            self.assertEqual(code, 1)
            self.assertIn("kept: NOT_FOUND - no exchange 'none'", out)
            check_refusals(
                self, data, "queues", (1, "no queue 'none'", ("purge", "none")),
                (2, "parley queues purge QUEUE", ("purge",)),
                (2, "unknown flag --queue", ("purge", "x", "--queue", "y")),
                (2, "parley queues dead-letters drop", ("dead-letters", "drop", "x")))
            connection.close()


class RunningWithToken(Running):
    flags = ("--service-token", "a service token of sufficient length")


class WithTLS(unittest.TestCase):
    def test_purge(self):
        with Server("--tls-self-signed", services=("broker", "users", "manager")) as server:
            self.assertEqual(changed(server.data, "queues", "purge", "PARLEY_DEAD_LETTER"),
                             [{"queue": "PARLEY_DEAD_LETTER", "result": "purged", "messages": 0}])


class Stopped(unittest.TestCase):
    def test_on_the_files(self):
        with tempfile.TemporaryDirectory() as data:
            for end in ("stop", "kill"):
                server = Server(services=("broker", "users", "manager"), data=data).start()
                connection, channel = connect(server)
                channel.queue_declare("work", durable=True)
                channel.basic_publish("", "work", b"1", PERSISTENT)
                channel.basic_publish("USER_MANAGER_EXCHANGE", "UME_USER_SERVER", b"no JSON", PERSISTENT)
                until(lambda: depth(data, "PARLEY_DEAD_LETTER") == 1)
                getattr(server, end)()
                self.assertEqual(changed(data, "queues", "purge", "work", "--dry-run")[0]["messages"], 1)
                self.assertEqual(changed(data, "queues", "purge", "work")[0]["messages"], 1)
                self.assertEqual(depth(data, "work"), 0)
                self.assertEqual(changed(data, "queues", "dead-letters", "replay")[0]["result"], "replayed")
                self.assertEqual((depth(data, "PARLEY_DEAD_LETTER"), depth(data, "UME_USER_SERVER")), (0, 1))
                self.assertEqual(command(data, "check")[0], 0)
                peeked = json.loads(command(data, "queues", "peek", "UME_USER_SERVER", "--json")[1])
                self.assertEqual([(row["exchange"], row["routing_key"], row["body"]) for row in peeked],
                                 [("USER_MANAGER_EXCHANGE", "UME_USER_SERVER", "no JSON")])
                changed(data, "queues", "purge", "UME_USER_SERVER")

    def test_no_data(self):
        with tempfile.TemporaryDirectory() as data:
            code, _, error = command(data, "queues", "purge", "work")
            self.assertEqual(code, 1)
            self.assertIn("no broker runs there", error)


class RabbitMQ(unittest.TestCase):
    def test_replay(self):
        broker = rabbit.Rabbit()
        broker.start()
        self.addCleanup(broker.stop)
        url = f"amqp://guest:guest@127.0.0.1:{broker.port}/"
        with tempfile.TemporaryDirectory() as data:
            connection = pika.BlockingConnection(pika.URLParameters(url))
            channel = connection.channel()
            channel.confirm_delivery()
            for queue in ("work", "PARLEY_DEAD_LETTER"):
                channel.queue_declare(queue, durable=True)
            for number in range(3):
                headers = {"PARLEY_QUEUE": "work", "PARLEY_EXCHANGE": "", "PARLEY_ROUTING_KEY": "work" if number else "no"}
                channel.basic_publish("", "PARLEY_DEAD_LETTER", str(number).encode(),
                                      pika.BasicProperties(delivery_mode=2, headers=headers))
            os.environ["PARLEY_AMQP"] = url
            self.addCleanup(os.environ.pop, "PARLEY_AMQP")
            code, out, error = command(data, "queues", "dead-letters", "replay", "--json")
            self.assertEqual(code, 1, error)
            self.assertEqual([row["messages"] for row in json.loads(out)], [1, 2])
            self.assertEqual([channel.basic_get("work", auto_ack=True)[2] for _ in range(2)], [b"1", b"2"])
            self.assertEqual(channel.basic_get("PARLEY_DEAD_LETTER", auto_ack=True)[2], b"0")
            connection.close()


if __name__ == "__main__":
    unittest.main()
