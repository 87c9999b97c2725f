"""`socketio.AsyncAioPikaManager`: clients of two server processes meet in one room."""

import queue
import subprocess
import sys
import time

import socketio


def test_two_servers():
    servers = [subprocess.Popen([sys.executable, "socketio_server.py"], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    clients, heard = [], queue.Queue()
    try:
        for number, server in enumerate(servers):
            client = socketio.Client(reconnection=False)
            client.on("said", lambda text, number=number: heard.put((number, text)))
            client.connect(f"http://127.0.0.1:{int(server.stdout.readline())}", transports=["websocket"])
            assert client.call("join", "room", timeout=10) == "joined"
            clients.append(client)
        # A manager connects to the broker in the background, and loses what is emitted until then.
        ready = {(client, f"ready {server}") for client in range(2) for server in range(2)}
        end, reached = time.monotonic() + 30, set()
        while reached != ready and time.monotonic() < end:
            for number, client in enumerate(clients):
                client.emit("say", ("room", f"ready {number}"))
            time.sleep(0.5)
            while not heard.empty():
                reached.add(heard.get())
        assert reached == ready
        for number in range(10):
            for client in clients:
                client.emit("say", ("room", str(number)))
        got = []
        while len(got) < 40:
            client, text = heard.get(timeout=10)
            if not text.startswith("ready"):
                got.append((client, text))
        for number in range(2):
            assert sorted(text for client, text in got if client == number) == sorted([str(n) for n in range(10)] * 2)
    finally:
        for client in clients:
            client.disconnect()
        for server in servers:
            server.kill()
            server.wait()
            server.stdout.close()
