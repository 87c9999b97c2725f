"""A chat node is killed repeatedly under load. No acknowledged message is lost, no message is
stored twice, and seq has no gap."""

import threading
import unittest

import socketio

from harness import Client, Server

ROUNDS = 50
SENDERS = 4


class Kill(unittest.TestCase):
    def test_kill_under_load(self):
        server = Server(services=("users", "chat"))
        server.start()
        try:
            self.run_rounds(server)
        finally:
            if server.process.poll() is None:
                server.kill()
            server.folder.cleanup()

    def run_rounds(self, server):
        port = server.ports["chat"]
        client = Client(port)
        names = [f"sender{i}" for i in range(SENDERS)] + ["receiver"]
        for name in names:
            self.assertEqual(client.send("POST", "/register", {"username": name, "password": "password123"})[0], 200)
        people = {n: client.send("POST", "/login", {"username": n, "password": "password123"})[1] for n in names}
        receiver = people["receiver"]
        for name in names[:-1]:
            client.send("POST", "/addContact", {"sessionID": people[name]["sessionID"], "contact": "receiver"})
            client.send("POST", "/addContact", {"sessionID": receiver["sessionID"], "contact": name})
        acknowledged = {name: {} for name in names[:-1]}
        pending = {name: None for name in names[:-1]}
        next_number = dict.fromkeys(names[:-1], 0)

        is_dead = threading.Event()

        def sender(name, socket):
            person = people[name]
            while True:
                content = pending[name]
                if content is None:
                    next_number[name] += 1
                    content = pending[name] = f"{name}/{next_number[name]}"
                try:
                    answer = socket.call("send_message", {
                        "sessionID": person["sessionID"], "recipient_id": receiver["user_id"], "content": content,
                        "client_id": content}, timeout=0.7)
                except Exception:
                    if is_dead.is_set() or not socket.connected:
                        return  # The next round sends it again.
                    continue  # On a slow machine, send the unanswered message again.
                assert answer["status"] == "ok", answer
                acknowledged[name][content] = answer
                pending[name] = None

        for round in range(ROUNDS):
            sockets = {}
            is_dead.clear()
            for name in names[:-1]:
                sockets[name] = socketio.Client(reconnection=False)
                sockets[name].connect(server.urls["chat"], transports=["websocket"],
                                      auth={"sessionID": people[name]["sessionID"]}, wait_timeout=5)
            threads = [threading.Thread(target=sender, args=pair) for pair in sockets.items()]
            for thread in threads:
                thread.start()
            before = sum(map(len, acknowledged.values()))
            while sum(map(len, acknowledged.values())) < before + 40 + round:
                threads[0].join(0.005)
            is_dead.set()
            server.kill()
            for thread in threads:
                thread.join()
            for socket in sockets.values():
                socket.disconnect()
            server.start()
            if round % 10 == 9:
                for name in names[:-1]:
                    self.check(port, people[name]["sessionID"], name, acknowledged[name])
        self.assertGreater(sum(map(len, acknowledged.values())), ROUNDS * 40)

    def check(self, port, session, name, acknowledged):
        client, stored, after = Client(port), [], 0
        while True:
            status, page = client.send("GET", f"/getContactMessages?sessionID={session}&contact=receiver&after={after}&limit=500")
            self.assertEqual(status, 200, page)
            stored += page
            if len(page) < 500:
                break
            after = page[-1]["seq"]
        self.assertEqual([m["seq"] for m in stored], list(range(1, len(stored) + 1)))
        contents = [m["content"] for m in stored]
        self.assertEqual(len(contents), len(set(contents)))
        places = {m["content"]: (m["message_id"], m["seq"], m["timestamp"]) for m in stored}
        for content, answer in acknowledged.items():
            self.assertEqual(places.get(content), (answer["message_id"], answer["seq"], answer["timestamp"]), content)


if __name__ == "__main__":
    unittest.main()
