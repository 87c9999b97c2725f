"""`parley users erase`, beside running services and on the files of stopped ones, with kill -9 of the
command and of the services in its middle."""

import contextlib
import glob
import json
import os
import random
import sqlite3
import subprocess
import tempfile
import time
import unittest

from harness import BINARY, Client, Server, SocketClient
from test_operate_users import changed, check_refusals, command
from test_sessions import Customer, User, until

SERVICES = ("broker", "users", "manager", "supervisor", "chat", "customers")
COUNTS = {"sessions": 1, "requests": 1, "supervised_sessions": 1, "transcript_messages": 2, "contacts": 1, "groups": 1}


class Population:
    """Ann and bob are friends with a group, and customers with a session each."""

    def __init__(self, server):
        self.server = server
        chat = Client(server.ports["chat"])
        self.helpers = [User(server.ports["chat"], name) for name in ("helper", "helper-2")]
        self.customers = {name: Customer(server, name) for name in ("ann", "bob")}
        self.ids = {}
        for name, customer in self.customers.items():
            answer = chat.send("POST", "/login", {"username": name, "password": "password123"})[1]
            self.ids[name] = answer["user_id"], answer["sessionID"]
            assert customer.request(users=1)[0] == 200
            assert customer.initialize()[0] == 200
            for text in (f"the secret of {name}", "more"):
                assert customer.ask("SEND_MESSAGE", MESSAGE=text)[0] == 200
            until(lambda: len(customer.transcript()) == 2)
        for one, other in (("ann", "bob"), ("bob", "ann")):
            chat.send("POST", "/addContact", {"sessionID": self.ids[one][1], "contact": other})
        self.group = chat.send(
            "POST", "/createGroup", {"sessionID": self.ids["ann"][1], "name": "friends", "members": ["bob"]})[1]["group_id"]
        socket = SocketClient(reconnection=False)
        socket.connect(server.urls["chat"], auth={"sessionID": self.ids["ann"][1]}, transports=["websocket"])
        answer = socket.call("send_message", {
            "sessionID": self.ids["ann"][1], "recipient_id": self.group, "content": "said by ann", "type": "text",
            "is_group": True}, timeout=10)
        assert answer["status"] == "ok", answer
        socket.disconnect()

    def leave(self):
        for helper in self.helpers:
            helper.socket.disconnect()

    def check(self, case):
        """Ann is gone, and what is bob's is as before."""
        users, chat = Client(self.server.ports["users"]), Client(self.server.ports["chat"])
        case.assertEqual(users.send("POST", "/login", {"user": "ann", "password": "password123"})[0], 401)
        case.assertEqual(chat.send("GET", f"/getContacts?sessionID={self.ids['ann'][1]}")[0], 401)
        bob = self.ids["bob"][1]
        case.assertEqual(chat.send("GET", f"/getContacts?sessionID={bob}"), (200, []))
        case.assertEqual(chat.send("GET", f"/getGroups?sessionID={bob}")[1][0]["members"], ["bob"])
        messages = chat.send("GET", f"/getGroupMessages?sessionID={bob}&group_id={self.group}")[1]
        case.assertEqual([(one["content"], one["sender_username"]) for one in messages], [("said by ann", "ann")])
        # The last admin has left, so bob is one.
        answer = chat.send("POST", "/addGroupMember", {"sessionID": bob, "group_id": self.group, "member": "helper"})
        case.assertEqual(answer[0], 200)
        customer = self.customers["bob"]
        customer.client = Client(self.server.ports["customers"])
        case.assertEqual([one["MESSAGE"] for one in customer.transcript()], ["the secret of bob", "more"])
        case.assertEqual(customer.status(), "RUNNING")


def remains(data):
    """The tables of a stopped directory that have the email or the secret of ann, and of bob."""
    found = {"ann": set(), "bob": set()}
    for path in glob.glob(os.path.join(data, "*.db")):
        with contextlib.closing(sqlite3.connect(path)) as database:
            for line in database.iterdump():
                for name in found:
                    if f"{name}@example.com" in line or f"the secret of {name}" in line:
                        found[name].add((os.path.basename(path), line.split("(")[0].split(" VALUES")[0].strip()))
    return found


class Running(unittest.TestCase):
    def test_erase(self):
        with Server(services=SERVICES, secret=None) as server:
            people = Population(server)
            trial = changed(server.data, "users", "erase", "ann", "--dry-run")
            self.assertEqual({name: trial[name] for name in COUNTS}, COUNTS)
            self.assertTrue(trial["dry_run"])
            self.assertEqual(people.customers["ann"].status(), "RUNNING")
            exported = json.loads(command(server.data, "users", "export", "ann")[1])
            self.assertEqual(exported["supervised_sessions"]["as_customer"][0]["transcript"][0]["message"], "the secret of ann")
            done = changed(server.data, "users", "erase", "ann")
            self.assertEqual(done, {**trial, "dry_run": False})
            people.check(self)
            code, out, error = command(server.data, "users", "erase", "ann")
            self.assertEqual((code, out), (1, ""))
            self.assertIn("no account", error)
            people.leave()
            time.sleep(1)
            server.stop()
            found = remains(server.data)
            self.assertEqual(found["ann"], set())
            self.assertIn("manager.db", {database for database, _ in found["bob"]})
            self.assertEqual(command(server.data, "check")[0], 0)

    def test_killed(self):
        with tempfile.TemporaryDirectory() as data:
            server = Server(services=SERVICES, secret=None, data=data).start()
            people = Population(server)
            chance = random.Random(27)
            # Each attempt goes a little further than the one before.
            delay = 0.005
            attempts = 0
            while True:
                attempts += 1
                self.assertLess(attempts, 60)
                process = subprocess.Popen([BINARY, "users", "erase", "ann", "--json", "--data", data],
                                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                try:
                    out, error = process.communicate(timeout=delay)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.communicate()
                    delay *= 1.25
                    if chance.random() < 0.2:
                        server.kill()
                        server.start()
                    continue
                if process.returncode == 0 or "no account" in error:
                    break
            self.assertGreater(attempts, 3)
            people.check(self)
            people.leave()
            time.sleep(1)
            server.stop()
            self.assertEqual(remains(data)["ann"], set())
            self.assertEqual(command(data, "check")[0], 0)


class Stopped(unittest.TestCase):
    def test_on_the_files(self):
        with tempfile.TemporaryDirectory() as data:
            server = Server(services=SERVICES, secret=None, data=data).start()
            people = Population(server)
            people.leave()
            server.kill()
            trial = changed(data, "users", "erase", "ann@example.com", "--dry-run")
            self.assertEqual({name: trial[name] for name in COUNTS}, COUNTS)
            done = changed(data, "users", "erase", "ann@example.com")
            self.assertEqual(done, {**trial, "dry_run": False})
            found = {table for database, table in remains(data)["ann"] if database not in ("broker.db",)}
            # What the manager has to tell others when it starts.
            self.assertLessEqual(found, {'INSERT INTO "outbox"'})
            self.assertEqual(command(data, "check")[0], 0)
            server.start()
            people.check(self)
            time.sleep(1)
            server.stop()
            self.assertEqual(remains(data)["ann"], set())
            self.assertEqual(command(data, "check")[0], 0)

    def test_errors(self):
        with tempfile.TemporaryDirectory() as data:
            check_refusals(
                self, data, "users", (1, "no accounts.db", ("erase", "ann")),
                (2, "parley users erase USER", ("erase",)),
                (2, "unknown flag --limit", ("erase", "ann", "--limit", "1")))


if __name__ == "__main__":
    unittest.main()
