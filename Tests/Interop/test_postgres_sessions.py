"""A supervised session whose services keep their tables in PostgreSQL, while the services and
PostgreSQL are killed. What was acknowledged is in the transcript, once and in order."""

import http.client
import itertools
import random
import time
import unittest

from harness import Client, Server
from postgres import Postgres
from test_sessions import Customer, User, until

ROUNDS = 12
SERVICES = ("users", "manager", "chat", "customers")


class Kills(unittest.TestCase):
    def setUp(self):
        self.postgres = Postgres()
        self.postgres.access()
        self.postgres.start()
        self.addCleanup(self.postgres.stop)
        self.postgres.sql("CREATE DATABASE parley", database="postgres")
        self.broker = self.serve(services=("broker",))
        amqp = self.broker.urls["amqp"]
        self.core = self.serve("--amqp", amqp, "--database", self.postgres.url(), services=SERVICES)
        self.serve("--amqp", amqp, services=("supervisor",))

    def serve(self, *flags, services):
        server = Server(*flags, services=services).start()
        self.addCleanup(server.__exit__)
        return server

    def test_acknowledged_messages_survive(self):
        seed = random.randrange(2**32)
        print("seed", seed)
        chance = random.Random(seed)
        self.users = [User(self.core.ports["chat"], name) for name in ("ann", "bob")]
        until(lambda: self.overview()["FREE"] == 2)
        self.customer = Customer(self.core, "cora")
        self.assertEqual(self.customer.request()[0], 200)
        self.assertEqual(self.customer.initialize()[0], 200)
        self.said = {"CUSTOMER": [], **{user.id: [] for user in self.users}}
        self.numbers = itertools.count()
        for number in range(ROUNDS):
            for _ in range(chance.randrange(4)):
                self.talk()
            if number % 3 == 2:
                self.postgres.kill()
                time.sleep(chance.uniform(0, 1))
                self.postgres.start()
            else:
                self.core.kill()
                self.core.start()
            self.talk()
        until(lambda: all(len(self.of(sender)) >= len(said) for sender, said in self.said.items()), timeout=60)
        transcript = self.transcript()
        self.assertEqual([one["SEQ"] for one in transcript], list(range(1, len(transcript) + 1)))
        texts = [one["MESSAGE"] for one in transcript]
        self.assertEqual(len(texts), len(set(texts)))
        for sender, said in self.said.items():
            there = self.of(sender)
            self.assertEqual([text for text in there if text in said], said, sender)
        print(sum(map(len, self.said.values())), "acknowledged messages survived", ROUNDS, "kills")

    def talk(self):
        """Each says something, as often as it takes."""
        for user in self.users:
            text = f"{user.id}/{next(self.numbers)}"
            until(lambda: self.says(user, text), timeout=60)
            self.said[user.id].append(text)
        until(self.customer_says, timeout=60)

    def says(self, user, text):
        try:
            # The same `client_id` is the same message.
            return user.say(text, client_id=text)["status"] == "ok"
        except Exception:
            time.sleep(0.2)
            try:
                user.socket.disconnect()
                user.connect()
            except Exception:
                pass
            return False

    def customer_says(self):
        text = f"CUSTOMER/{next(self.numbers)}"
        status = self.ask("SEND_MESSAGE", MESSAGE=text)[0]
        if status == 200:
            self.said["CUSTOMER"].append(text)
        return status == 200

    def ask(self, request, **data):
        try:
            answer = self.customer.ask(request, **data)
        except (OSError, http.client.HTTPException):
            self.customer.client = Client(self.core.ports["customers"])
            answer = 0, {}
        if answer[0] != 200:
            time.sleep(0.1)
        return answer

    def overview(self):
        return Client(self.core.ports["manager"]).send("GET", "/overview")[1]

    def transcript(self):
        """The whole transcript, page by page."""
        messages = []
        while page := until(lambda: (got := self.ask("GET_MESSAGES", AFTER=len(messages)))[0] == 200 and got)[1]["MESSAGES"]:
            messages += page
        return messages

    def of(self, sender):
        return [one["MESSAGE"] for one in self.transcript() if one["FROM"] == sender]


if __name__ == "__main__":
    unittest.main()
