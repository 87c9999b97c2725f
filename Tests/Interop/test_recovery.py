"""Connection state recovery of Socket.IO 4.6 against a live Chat Service."""

import os
import sqlite3
import unittest

from harness import Server
from recovering import RecoveringSocket
from test_chat import Person, befriend


class Recovery(unittest.TestCase):
    count = 0

    def setUp(self):
        self.server = Server(services=("users", "chat")).start()
        self.port = self.server.ports["chat"]
        Recovery.count += 1
        self.ann = Person(self.port, f"ann{Recovery.count}")
        self.bob = Person(self.port, f"bob{Recovery.count}", connect=False)
        befriend(self.ann, self.bob)
        self.socket = RecoveringSocket(self.bob.session)

    def tearDown(self):
        self.ann.close()
        self.socket.close()
        self.server.__exit__()

    def say(self, *texts):
        for text in texts:
            self.assertEqual(self.ann.send(self.bob.id, text)["status"], "ok")

    def again(self):
        """The server starts again, and Ann is there again."""
        self.server.start()
        self.ann.sockets = []
        self.ann.connect()

    def test_what_was_missed_comes_once_and_in_order(self):
        first = self.socket.connect(self.port)
        self.assertFalse(self.socket.recovered)
        self.say("1", "2")
        self.assertEqual(self.socket.contents(2), ["1", "2"])
        self.assertRegex(self.socket.offset, r"^[0-9]+-[0-9]+$")
        for round in range(3):
            self.socket.cut()
            self.say(f"{round}a", f"{round}b", f"{round}c")
            answer = self.socket.connect(self.port)
            self.assertTrue(self.socket.recovered)
            self.assertEqual(answer, first)
            self.say(f"{round}d")
            self.assertEqual(self.socket.contents(4), [f"{round}{letter}" for letter in "abcd"])
            self.assertTrue(self.socket.nothing())

    def test_without_an_event_before(self):
        self.socket.connect(self.port)
        self.socket.cut()
        self.say("1")
        self.socket.connect(self.port)
        self.assertTrue(self.socket.recovered)
        self.assertEqual(self.socket.contents(1), ["1"])

    def test_after_kill_and_restart(self):
        self.socket.connect(self.port)
        self.say("1")
        self.assertEqual(self.socket.contents(1), ["1"])
        self.socket.cut()
        self.say("2", "3")
        self.server.kill()
        self.again()
        self.say("4")
        self.socket.connect(self.port)
        self.assertTrue(self.socket.recovered)
        self.say("5")
        self.assertEqual(self.socket.contents(4), ["2", "3", "4", "5"])

    def test_after_two_minutes_the_client_is_new(self):
        self.socket.connect(self.port)
        self.say("1")
        self.assertEqual(self.socket.contents(1), ["1"])
        for seconds, recovers in ((100, True), (140, False)):
            self.socket.cut()
            self.say("2")
            self.assertEqual(self.server.stop(), 0)
            database = sqlite3.connect(os.path.join(self.server.data, "chat.db"))
            with database:
                changed = database.execute("UPDATE recoveries SET closed_at = closed_at - ?", (seconds * 1_000_000,))
                self.assertEqual(changed.rowcount, 1)
            database.close()
            self.again()
            former = self.socket.pid
            self.socket.connect(self.port)
            self.assertEqual(self.socket.recovered, recovers)
            self.assertEqual(self.socket.pid == former, recovers)
            if recovers:
                self.assertEqual(self.socket.contents(1), ["2"])
        self.say("3")
        self.assertEqual(self.socket.contents(1), ["3"])

    def test_the_pid_of_another_user_is_of_no_use(self):
        self.socket.connect(self.port)
        self.say("1")
        self.assertEqual(self.socket.contents(1), ["1"])
        self.socket.cut()
        self.say("2")
        thief = RecoveringSocket(self.ann.session)
        for offset in (self.socket.offset, "0-0", None, "x", "9" * 18 + "-0"):
            thief.pid, thief.offset = self.socket.pid, offset
            thief.connect(self.port)
            self.assertFalse(thief.recovered)
            self.assertTrue(thief.nothing())
            thief.close()
        self.socket.connect(self.port)
        self.assertTrue(self.socket.recovered)
        self.assertEqual(self.socket.contents(1), ["2"])

    def test_without_the_flag_nothing_changes(self):
        answer = self.socket.connect(self.port, recover=False)
        self.assertEqual(list(answer), ["sid"])
        self.say("1")
        event = self.socket.event()
        self.assertEqual((event[0], len(event)), ("new_message", 2))


if __name__ == "__main__":
    unittest.main()
