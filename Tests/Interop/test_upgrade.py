"""The data directory of the first version, brought to this one: everything is there, also if the process is
killed while it upgrades, and the way back is the backup."""

import os
import pathlib
import shutil
import sqlite3
import subprocess
import tempfile
import time
import unittest

import pika

from documents import ROOT
from harness import BINARY, Client, Server, SocketClient

# What the first version of November 21 wrote, as SQL. It was killed with six services running.
FIRST = ROOT / "Tests/Fixtures/first-version"
SERVICES = ("broker", "users", "manager", "supervisor", "chat", "customers")
DATABASES = sorted(path.stem for path in FIRST.glob("*.sql"))
# The process is killed at its writes with these numbers, or soon after.
KILLS = (1, 2, 4, 8, 16, 24, 32, 48)
# Sessions of the chat, a group, and the session of a customer.
ANN = "e8f31aa6add83ed6c07581e2f67ff7c27ada9717880b52d1a827fa367c816344"
BOB = "ebc48b6b62134262dd49367064aa3b149c490c5a95161468a11785e4d0744c1a"
GROUP = 1
CUSTOMER_TOKEN = "285556132f2740184f5dfb8c29410f04c4e6a1bee431fb817f0fb5d98e79ea7d"


def parley(*words):
    return subprocess.run([BINARY, *words], capture_output=True, text=True, timeout=120)


def write_first_version(folder):
    for name in DATABASES:
        database = sqlite3.connect(folder / f"{name}.db")
        database.executescript((FIRST / f"{name}.sql").read_text())
        database.close()


def read(folder):
    """The schema versions and the rows of all databases."""
    contents = {}
    for name in DATABASES:
        database = sqlite3.connect(folder / f"{name}.db")
        contents[name] = database.execute("PRAGMA user_version").fetchone()[0], list(database.iterdump())
        database.close()
    return contents


def stamps(folder):
    """The sizes and times of the files, which change with each write."""
    files = {}
    for entry in os.scandir(folder):
        try:
            status = entry.stat()
        except FileNotFoundError:
            continue
        files[entry.name] = status.st_size, status.st_mtime_ns
    return files


class Upgrade(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.data = self.folder / "data"
        self.data.mkdir(mode=0o700)
        write_first_version(self.data)

    def server(self):
        return Server(services=SERVICES, data=str(self.data), secret=None)

    def check_all_is_there(self, server):
        users, chat = Client(server.ports["users"]), Client(server.ports["chat"])
        status, login = users.login("eve")
        self.assertEqual(status, 200, login)
        status, sessions = users.send("GET", "/get-sessions", token=login["access_token"])
        self.assertEqual((status, len(sessions["sessions"])), (200, 1), sessions)
        status, contacts = chat.send("GET", f"/getContacts?sessionID={ANN}")
        self.assertEqual((status, [(one["username"], one["status"]) for one in contacts]), (200, [("Bob", "friend")]))
        status, messages = chat.send("GET", f"/getContactMessages?sessionID={BOB}&contact=ann")
        self.assertEqual([(one["seq"], one["content"]) for one in messages[:3]],
                         [(number + 1, f"hello {number} ☃") for number in range(3)])
        status, messages = chat.send("GET", f"/getGroupMessages?sessionID={BOB}&group_id={GROUP}")
        self.assertEqual([(one["seq"], one["content"]) for one in messages], [(1, "to all")])
        status, answer = Client(server.ports["customers"]).send("PUT", "/handleSessionRequests", {
            "EMAIL": "carol@example.com", "SESSION_TOKEN": CUSTOMER_TOKEN, "REQUEST": "GET_MESSAGES", "DATA": {"AFTER": 0}})
        self.assertEqual((status, [one["MESSAGE"] for one in answer["MESSAGES"]]), (200, ["good morning", "good day"]), answer)
        url = server.urls["amqp"].replace("amqp://", "amqp://guest:guest@") + "/"
        with pika.BlockingConnection(pika.URLParameters(url)) as connection:
            channel = connection.channel()
            jobs = [channel.basic_get("work")[2] for _ in range(4)]
            letter = channel.basic_get("PARLEY_DEAD_LETTER")[2]
        self.assertEqual((jobs, letter), ([b"job 0", b"job 1", b"job 2", None], b"not JSON"))

    def check_it_goes_on(self, server):
        socket = SocketClient(reconnection=False)
        socket.connect(server.urls["chat"], transports=["websocket"], auth={"sessionID": ANN})
        for content, number, seq in (("hello 3", 3, 4), ("hello 0 ☃", 0, 1)):
            # The second was acknowledged by the first version, and is not stored twice.
            message = {"sessionID": ANN, "recipient_id": 2, "content": content, "client_id": f"c{number}"}
            self.assertEqual(socket.call("send_message", message, timeout=10).get("seq"), seq)
        socket.disconnect()

    def check_promises(self):
        done = parley("check", "--data", str(self.data))
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)

    def test_upgrade(self):
        with self.server() as server:
            self.check_all_is_there(server)
            self.check_it_goes_on(server)
            self.assertEqual(server.stop(), 0)
        self.check_promises()
        with self.server() as server:
            self.check_all_is_there(server)

    def test_killed_while_it_upgrades(self):
        first = read(self.data)
        versions = set()
        for number in KILLS:
            shutil.rmtree(self.data)
            self.data.mkdir(mode=0o700)
            write_first_version(self.data)
            flags = [word for port in ("users", "chat", "customers", "manager", "amqp") for word in (f"--{port}-port", "0")]
            process = subprocess.Popen([BINARY, "serve", "--data", str(self.data), *flags], stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
            last, changes, end = stamps(self.data), 0, time.monotonic() + 20
            while changes < number and time.monotonic() < end and process.poll() is None:
                now = stamps(self.data)
                changes, last = changes + (now != last), now
            process.kill()
            process.wait()
            versions.add(tuple(version for version, _ in read(self.data).values()))
            with self.server() as server:
                self.check_all_is_there(server)
                self.check_it_goes_on(server)
                server.stop()
            self.check_promises()
        # Some were killed when a part of the databases had been upgraded.
        old, new = (tuple(version for version, _ in contents.values()) for contents in (first, read(self.data)))
        self.assertTrue(versions - {old, new}, versions)

    def test_way_back(self):
        first = read(self.data)
        backup = str(self.folder / "backup")
        done = parley("backup", "--data", str(self.data), "--to", backup)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        with self.server() as server:
            self.check_it_goes_on(server)
            server.stop()
        self.assertNotEqual(read(self.data), first)
        done = parley("restore", backup, "--data", str(self.data), "--replace")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertEqual(read(self.data), first)


if __name__ == "__main__":
    unittest.main()
