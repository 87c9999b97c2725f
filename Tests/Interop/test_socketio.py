"""python-socketio with the Socket.IO server: synchronous and asynchronous clients, each transport,
the upgrade, binary data, acknowledgements, two namespaces."""

import asyncio
import queue
import unittest

import socketio

from echo import EchoCase
from harness import SocketClient

TRANSPORTS = {"polling only": ["polling"], "websocket only": ["websocket"], "upgrading": None}


class SocketIO(EchoCase):
    # A Python client on a shared core may answer later than the 200 ms of the protocol's test
    # suites, and would be disconnected.
    flags = ("--ping-timeout", "10000")

    def test_sync(self):
        for name, transports in TRANSPORTS.items():
            with self.subTest(name):
                client = socketio.Client()
                heard = queue.Queue()
                for namespace in ("/", "/custom"):
                    client.on("auth", lambda *a, n=namespace: heard.put((n, "auth", a)), namespace=namespace)
                    client.on("message-back", lambda *a, n=namespace: heard.put((n, "back", a)), namespace=namespace)
                client.connect(self.echo.url, transports=transports, auth={"token": "123"}, namespaces=["/", "/custom"])
                first = sorted([heard.get(timeout=5), heard.get(timeout=5)])
                self.assertEqual(first, [("/", "auth", ({"token": "123"},)), ("/custom", "auth", ({"token": "123"},))])
                self.assertEqual(client.transport(), "polling" if transports == ["polling"] else "websocket")
                for namespace in ("/", "/custom"):
                    client.emit("message", (1, "é", {"3": [True]}), namespace=namespace)
                    self.assertEqual(heard.get(timeout=5), (namespace, "back", (1, "é", {"3": [True]})))
                    client.emit("message", (b"\x00\xff", {"in": b"\x01"}), namespace=namespace)
                    self.assertEqual(heard.get(timeout=5), (namespace, "back", (b"\x00\xff", {"in": b"\x01"})))
                    self.assertEqual(client.call("message-with-ack", ("a", 2), namespace=namespace, timeout=5), ("a", 2))
                    self.assertEqual(client.call("message-with-ack", b"\x05", namespace=namespace, timeout=5), b"\x05")
                client.disconnect()

    def test_order(self):
        for name, transports in TRANSPORTS.items():
            with self.subTest(name):
                # The client handles each packet in its own thread, so packets may be out of order.
                client = SocketClient()
                heard = queue.Queue()
                client.on("message-back", heard.put)
                client.connect(self.echo.url, transports=transports)
                for number in range(300):
                    client.emit("message", number)
                self.assertEqual([heard.get(timeout=5) for _ in range(300)], list(range(300)))
                client.disconnect()

    def test_heartbeats_keep_a_session(self):
        for name, transports in TRANSPORTS.items():
            with self.subTest(name):
                client = socketio.Client(reconnection=False)
                client.connect(self.echo.url, transports=transports)
                client.sleep(1.5)
                self.assertEqual(client.call("message-with-ack", "still here", timeout=5), "still here")
                client.disconnect()

    def test_unknown_namespace(self):
        client = socketio.Client(reconnection=False)
        with self.assertRaises(socketio.exceptions.ConnectionError):
            client.connect(self.echo.url, namespaces=["/random"])

    def test_async(self):
        async def run(transports):
            client = socketio.AsyncClient()
            heard = asyncio.Queue()
            client.on("message-back", lambda *a: heard.put_nowait(a))
            await client.connect(self.echo.url, transports=transports)
            await client.emit("message", (b"\x01\x02", "x"))
            self.assertEqual(await asyncio.wait_for(heard.get(), 5), (b"\x01\x02", "x"))
            self.assertEqual(await client.call("message-with-ack", {"a": [1]}, timeout=5), {"a": [1]})
            big = "x" * 900_000
            self.assertEqual(await client.call("message-with-ack", big, timeout=5), big)
            await client.disconnect()

        for name, transports in TRANSPORTS.items():
            with self.subTest(name):
                asyncio.run(run(transports))

    def test_many_clients(self):
        async def run():
            clients = [socketio.AsyncClient() for _ in range(50)]
            await asyncio.gather(*(client.connect(self.echo.url, transports=["websocket"]) for client in clients))
            answers = await asyncio.gather(*(client.call("message-with-ack", n, timeout=10) for n, client in enumerate(clients)))
            self.assertEqual(answers, list(range(50)))
            await asyncio.gather(*(client.disconnect() for client in clients))

        asyncio.run(run())


if __name__ == "__main__":
    unittest.main()
