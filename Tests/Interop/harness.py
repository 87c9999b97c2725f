"""Starts and stops `parley` processes, and sends HTTP requests to them."""

import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import engineio
import socketio

BINARY = os.environ["PARLEY_BINARY"]
PORT_FLAGS = {"users": "--users-port", "chat": "--chat-port", "customers": "--customers-port",
              "manager": "--manager-port", "broker": "--amqp-port"}
SECRET = "an interop secret of at least thirty-two bytes"


class Server:
    """A `parley serve` of some services on free ports. It can be started again with the same
    `data`."""

    def __init__(self, *flags, services=("users",), data=None, secret=SECRET, rounds=10, ports=None, sandbox=None, log_level="warning"):
        self.flags = [*flags, "--password-rounds", str(rounds)] + (["--jwt-secret", secret] if secret else [])
        self.folder = None if data else tempfile.TemporaryDirectory()
        self.data = data or self.folder.name
        self.services = services
        self.ports = ports or {}
        self.sandbox = sandbox
        self.log_level = log_level
        self.process = None

    def start(self):
        command = [BINARY, "serve", *self.services, "--data", self.data, "--log-level", self.log_level, *self.flags]
        for service in self.services:
            if service in PORT_FLAGS:
                command += [PORT_FLAGS[service], str(self.ports.get(service, 0))]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        preexec_fn=self.sandbox)
        self.urls = {}
        while (line := self.process.stdout.readline()) != "ready\n":
            words = line.split()
            if words[:1] != ["listening"]:
                raise RuntimeError(line + self.process.stderr.read())
            self.urls[words[1]] = words[2]
            # A restarted service keeps its port.
            self.ports[{"amqp": "broker", "broker": "broker-http"}.get(words[1], words[1])] = int(words[2].rsplit(":", 1)[1])
        # A supervisor host does not listen.
        self.url = next(iter(self.urls.values()), "")
        self.port = int(self.url.rsplit(":", 1)[1]) if self.url else None
        return self

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=20)
        self.process.stdout.close()
        self.process.stderr.close()
        return code

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.kill()
        if self.folder:
            self.folder.cleanup()


def load_until_killed(port, prefix, pause, kill, users, sessions):
    """Six clients write to a server for a time, and then `kill` ends it. Fills `users` and `sessions`
    with what was acknowledged."""
    stop, lock = threading.Event(), threading.Lock()
    threads = [threading.Thread(target=write_until_killed, args=(port, f"{prefix}x{k}", stop, users, sessions, lock)) for k in range(6)]
    for thread in threads:
        thread.start()
    time.sleep(pause)
    kill()
    stop.set()
    for thread in threads:
        thread.join()


class Client:
    """An HTTP client with one keep-alive connection."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

    def send(self, method, path, body=None, token=None, headers=None):
        fields = dict(headers or {})
        if token:
            fields["Authorization"] = "Bearer " + token
        if body is not None:
            fields["Content-Type"] = "application/json"
        self.connection.request(method, path, json.dumps(body) if body is not None else None, fields)
        response = self.connection.getresponse()
        text = response.read()
        try:
            return response.status, json.loads(text)
        except ValueError:
            return response.status, text

    def register(self, name):
        return self.send("POST", "/register",
                         {"email": f"{name}@example.com", "username": name, "password": "password123"})

    def login(self, name):
        return self.send("POST", "/login", {"user": name, "password": "password123"})


class _InOrder(engineio.Client):
    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.line = ThreadPoolExecutor(max_workers=1)

    def _trigger_event(self, event, *args, run_async=False, **more):
        if run_async:
            return self.line.submit(super()._trigger_event, event, *args, **more)
        return super()._trigger_event(event, *args, **more)


class SocketClient(socketio.Client):
    """A `socketio.Client` that handles packets in the order of their arrival.

    The original class starts a thread for each packet, so packets may be handled out of order.
    """

    def _engineio_client_class(self):
        return _InOrder


def raw(port, data, timeout=5):
    """Sends bytes and returns the response, up to the close of the connection or the time-out."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        connection.sendall(data)
        answer = b""
        connection.settimeout(timeout)
        try:
            while part := connection.recv(65536):
                answer += part
        except (TimeoutError, ConnectionResetError):
            pass
        return answer


def write_until_killed(port, name, stop, users, sessions, lock):
    """Registers users and adds sessions until `stop` is set or the server is killed. Notes what was
    acknowledged."""
    client = Client(port)
    try:
        for number in range(10**6):
            user = f"{name}-{number}"
            if stop.is_set() or client.register(user)[0] != 201:
                return
            with lock:
                users.append(user)
            status, answer = client.login(user)
            if status != 200:
                return
            for index in range(5):
                session = f"{user}-{index}"
                status, _ = client.send("POST", "/add-session", {"session_id": session}, answer["access_token"])
                if status != 200:
                    return
                with lock:
                    sessions.setdefault(user, []).append(session)
    except (OSError, http.client.HTTPException):
        return
