"""The server is killed fifty times under load. Every acknowledged write survives."""

import random
import unittest

from harness import Client, Server, load_until_killed

ROUNDS = 50


class Kill(unittest.TestCase):
    def test_acknowledged_writes_survive(self):
        seed = random.randrange(2**32)
        print("seed", seed)
        chance = random.Random(seed)
        users, sessions, writes = [], {}, 0
        with Server(secret=None) as server:
            for number in range(ROUNDS):
                load_until_killed(server.port, f"u{number}", chance.uniform(0.05, 0.25), server.kill, users, sessions)
                server.start()
                self.check(server.port, users, sessions)
                writes += len(users) + sum(map(len, sessions.values()))
                users.clear()
                sessions.clear()
            self.assertGreater(writes, 50 * ROUNDS)
            print(writes, "acknowledged writes survived", ROUNDS, "kills")

    def check(self, port, users, sessions):
        client = Client(port)
        for user in users:
            status, tokens = client.login(user)
            self.assertEqual(status, 200, user)
            if user in sessions:
                status, answer = client.send("GET", "/get-sessions", token=tokens["access_token"])
                self.assertEqual(status, 200)
                found = [entry["session_id"] for entry in answer["sessions"]]
                self.assertEqual(found[:len(sessions[user])], sessions[user])


if __name__ == "__main__":
    unittest.main()
