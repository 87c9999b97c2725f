"""Backups of a system under load, restored: every write that was acknowledged before is there, and
the databases agree with each other."""

import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
import threading
import time
import unittest

import pika

from harness import BINARY, Client, Server, SocketClient
from test_sessions import Customer, User, until

SERVICES = ("broker", "users", "manager", "supervisor", "chat", "customers")
BACKUPS = 4
PERSISTENT = pika.BasicProperties(delivery_mode=2)


def parley(*words):
    return subprocess.run([BINARY, *words], capture_output=True, text=True, timeout=120)


class Load:
    """Clients that write until they are stopped, and the writes that were acknowledged."""

    def __init__(self, server):
        self.server, self.stopping = server, threading.Event()
        self.accounts, self.chats, self.published, self.spoken = [], [], [], []
        self.writers = [User(server.ports["chat"], name) for name in ("ann", "bob")]
        client = Client(server.ports["chat"])
        for one, other in (("ann", "bob"), ("bob", "ann")):
            session = self.writers[one == "bob"].session
            client.send("POST", "/addContact", {"sessionID": session, "contact": other})
        self.customer = Customer(server, "customer")
        assert self.customer.request(users=1) == (200, "SESSION_CREATION_REQUEST_ACCEPTED")
        assert self.customer.initialize() == (200, "SESSION_INITIALIZED")
        self.threads = [threading.Thread(target=self.guarded, args=(work,)) for work in
                        (self.register, self.register, self.chat, self.publish, self.speak)]
        self.errors = []
        for thread in self.threads:
            thread.start()

    def guarded(self, work):
        try:
            work()
        except Exception as error:  # The test reports it.
            self.errors.append(error)

    def register(self):
        client, name = Client(self.server.ports["users"]), threading.get_ident()
        number = 0
        while not self.stopping.is_set():
            number += 1
            assert client.register(f"u{name}x{number}")[0] == 201
            self.accounts.append(f"u{name}x{number}")

    def chat(self):
        socket = SocketClient(reconnection=False)
        ann, bob = self.writers
        socket.connect(self.server.urls["chat"], transports=["websocket"], auth={"sessionID": ann.session})
        while not self.stopping.is_set():
            answer = socket.call("send_message", {"sessionID": ann.session, "recipient_id": bob.id,
                                                  "content": f"{len(self.chats)} " + "x" * 500}, timeout=10)
            assert answer["status"] == "ok", answer
            self.chats.append(answer["seq"])
        socket.disconnect()

    def publish(self):
        url = self.server.urls["amqp"].replace("amqp://", "amqp://guest:guest@") + "/"
        connection = pika.BlockingConnection(pika.URLParameters(url))
        channel = connection.channel()
        channel.queue_declare("work", durable=True)
        channel.confirm_delivery()
        while not self.stopping.is_set():
            channel.basic_publish("", "work", b"%d" % len(self.published), PERSISTENT)
            self.published.append(len(self.published))
        connection.close()

    def speak(self):
        while not self.stopping.is_set():
            text = f"word {len(self.spoken)}"
            assert self.customer.ask("SEND_MESSAGE", MESSAGE=text)[0] == 200
            self.spoken.append(text)
            time.sleep(0.01)

    def counts(self):
        return len(self.accounts), len(self.chats), len(self.published), len(self.spoken)

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        for writer in self.writers:
            writer.socket.disconnect()


class Backup(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def test_backup_under_load(self):
        with Server(services=SERVICES, secret=None) as server:
            load = Load(server)
            backups = []
            try:
                until(lambda: load.errors or min(load.counts()) > 20)
                for number in range(BACKUPS):
                    before = load.counts()
                    done = parley("backup", "--data", server.data, "--to", self.path(f"b{number}"), "--json")
                    self.assertEqual((done.returncode, done.stderr), (0, ""))
                    names = {file["name"] for file in json.loads(done.stdout)["files"]}
                    self.assertEqual(names, {"accounts.db", "chat.db", "manager.db", "customers.db", "broker.db", "jwt-secret"})
                    after = load.counts()
                    backups.append((before, after))
                    until(lambda: load.errors or min(load.counts()) > min(after) + 20)
                online = parley("check", "--data", server.data)
                self.assertEqual((online.returncode, online.stdout), (0, "5 databases checked, 0 faults\n"), online.stderr)
            finally:
                load.stop()
            self.assertEqual(load.errors, [])
            server.kill()
        print("written before and after each backup:", backups)
        for number, (before, _) in enumerate(backups):
            self.restore(self.path(f"b{number}"), load, before)

    def restore(self, backup, load, before):
        data = self.path("data")
        self.assertEqual(parley("check", backup).returncode, 0)
        done = parley("restore", backup, "--data", data)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        with Server(services=SERVICES, secret=None, data=data) as server:
            users = Client(server.ports["users"])
            for name in load.accounts[:before[0]]:
                self.assertEqual(users.login(name)[0], 200, name)
            history = self.history(server, load.writers)
            self.assertEqual([message["seq"] for message in history], list(range(1, len(history) + 1)))
            self.assertGreaterEqual(len(history), before[1])
            for place, message in enumerate(history):
                self.assertTrue(message["content"].startswith(f"{place} "))
            self.assertGreaterEqual(self.queued(server), before[2])
            # The supervisor takes the session over, and passes on what was under way.
            load.customer.client = Client(server.ports["customers"])
            transcript = until(lambda: len(t := load.customer.transcript()) >= before[3] and t)
            said = [entry["MESSAGE"] for entry in transcript]
            self.assertEqual(said, load.spoken[:len(said)])
            # It goes on.
            self.assertEqual(load.customer.ask("SEND_MESSAGE", MESSAGE="later")[0], 200)
            until(lambda: any(entry["MESSAGE"] == "later" for entry in load.customer.ask("GET_MESSAGES", AFTER=len(said))[1]["MESSAGES"]))
            self.assertEqual(server.stop(), 0)
        done = parley("check", "--data", data)
        self.assertEqual((done.returncode, done.stdout), (0, "5 databases checked, 0 faults\n"))
        shutil.rmtree(data)

    def history(self, server, writers):
        client, found = Client(server.ports["chat"]), []
        ann, _ = writers
        while True:
            status, page = client.send(
                "GET", f"/getContactMessages?sessionID={ann.session}&contact=bob&after={len(found)}&limit=500")
            self.assertEqual(status, 200, page)
            if not page:
                return found
            found += page

    def queued(self, server):
        url = server.urls["amqp"].replace("amqp://", "amqp://guest:guest@") + "/"
        connection = pika.BlockingConnection(pika.URLParameters(url))
        channel = connection.channel()
        count = channel.queue_declare("work", durable=True, passive=True).method.message_count
        for number in range(count):
            self.assertEqual(channel.basic_get("work", auto_ack=False)[2], b"%d" % number)
        connection.close()
        return count


class Commands(unittest.TestCase):
    """The commands over a small data directory."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.data, self.backup = os.path.join(self.folder.name, "data"), os.path.join(self.folder.name, "backup")
        self.server = Server(services=("users",), secret=None, data=self.data).start()
        self.addCleanup(lambda: self.server.process.poll() is None and self.server.kill())
        self.client = Client(self.server.port)
        self.assertEqual(self.client.register("ann")[0], 201)

    def expect(self, code, text, *words):
        done = parley(*words)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertIn(text, done.stdout + done.stderr)
        return done

    def test_life_of_a_backup(self):
        self.expect(0, "accounts.db", "backup", "--data", self.data, "--to", self.backup)
        self.assertEqual(sorted(os.listdir(self.backup)), ["accounts.db", "backup.json", "jwt-secret"])
        for name in os.listdir(self.backup):
            self.assertEqual(os.stat(os.path.join(self.backup, name)).st_mode & 0o777, 0o600, name)
        self.expect(2, "exists", "backup", "--data", self.data, "--to", self.backup)
        self.assertEqual(self.client.register("bob")[0], 201)
        self.expect(1, "in use", "restore", self.backup, "--data", self.data, "--replace")
        self.expect(1, "in use", "compact", "--data", self.data)
        self.server.stop()
        self.expect(2, "--replace", "restore", self.backup, "--data", self.data)
        self.expect(0, "accounts.db", "restore", self.backup, "--data", self.data, "--replace", "--dry-run")
        self.expect(0, "accounts.db", "restore", self.backup, "--data", self.data, "--replace")
        aside = [name for name in os.listdir(self.data) if name.startswith("replaced-")]
        self.assertEqual(len(aside), 1)
        self.expect(0, "accounts.db", "compact", "--data", self.data)
        self.server.start()
        client = Client(self.server.port)
        self.assertEqual(client.login("ann")[0], 200)
        self.assertEqual(client.login("bob")[0], 401)
        self.server.stop()
        # The databases that were set aside are whole.
        self.expect(0, "1 databases checked, 0 faults", "check", os.path.join(self.data, aside[0]))

    def test_damage_is_found(self):
        self.expect(0, "accounts.db", "backup", "--data", self.data, "--to", self.backup)
        self.server.stop()
        path = os.path.join(self.backup, "accounts.db")
        with open(path, "r+b") as file:
            file.seek(3000)
            file.write(b"damage")
        self.expect(1, "accounts.db is not the file that was backed up", "check", self.backup)
        self.expect(1, "accounts.db is not the file that was backed up", "restore", self.backup, "--data", self.data, "--replace")
        os.remove(path)
        self.expect(1, "accounts.db is missing", "check", self.backup)
        self.expect(1, "session_count", "check", "--data", self.spoiled("UPDATE users SET session_count = 7"))
        self.expect(1, "session_count", "backup", "--data", self.data, "--to", self.backup + "2")
        self.assertTrue(os.path.exists(self.backup + "2"))
        with open(os.path.join(self.data, "accounts.db"), "r+b") as file:
            for page in range(1, os.path.getsize(file.name) // 1024):
                file.seek(page * 1024)
                file.write(b"\xee" * 512)
        self.expect(1, "no backup was made", "backup", "--data", self.data, "--to", self.backup + "3")
        self.assertEqual([name for name in os.listdir(self.folder.name) if "backup3" in name], [])

    def spoiled(self, statement):
        with sqlite3.connect(os.path.join(self.data, "accounts.db")) as database:
            database.execute(statement)
        database.close()
        return self.data

    def test_interrupted_restore(self):
        self.expect(0, "accounts.db", "backup", "--data", self.data, "--to", self.backup)
        self.server.stop()
        open(os.path.join(self.data, "restore-incomplete"), "w").close()
        self.expect(2, "a restore was interrupted", "serve", "users", "--data", self.data, "--check")
        self.expect(0, "accounts.db", "restore", self.backup, "--data", self.data, "--replace")
        self.expect(0, "usersPort", "serve", "users", "--data", self.data, "--check")

    def test_usage(self):
        self.expect(2, "--to", "backup", "--data", self.data)
        self.expect(2, "No such file", "backup", "--data", self.data + "x", "--to", self.backup)
        self.expect(2, "backup.json", "restore", self.folder.name, "--data", self.data)
        os.mkdir(self.backup)
        self.expect(1, "no database", "check", self.backup)


if __name__ == "__main__":
    unittest.main()
