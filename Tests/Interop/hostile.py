"""Connections that send raw bytes, and measurements of their cost to the server."""

import contextlib
import glob
import re
import socket
import struct
import time


def mebibytes(server, what):
    """Returns a value of the process's status, such as `VmRSS` or `VmHWM`, in MiB."""
    with open(f"/proc/{server.process.pid}/status") as file:
        return int(re.search(rf"{what}:\s+(\d+)", file.read())[1]) / 1024


def seconds(server):
    """Returns the CPU time of all threads of the process in seconds."""
    total = 0
    for path in glob.glob(f"/proc/{server.process.pid}/task/*/schedstat"):
        with contextlib.suppress(OSError), open(path) as file:
            total += int(file.read().split()[0])
    return total / 1e9


def settled(server):
    """Waits until the process is idle, and returns its CPU time in seconds."""
    last = seconds(server)
    while True:
        time.sleep(0.02)
        now = seconds(server)
        if now - last < 0.0005:
            return now
        last = now


@contextlib.contextmanager
def growth(server):
    """Yields a list. At the end its element is the peak growth of the process in MiB."""
    grown, before = [], mebibytes(server, "VmRSS")
    # Resets the peak size (proc(5)).
    with open(f"/proc/{server.process.pid}/clear_refs", "w") as file:
        file.write("5")
    yield grown
    grown.append(mebibytes(server, "VmHWM") - before)


def frame(kind, channel, payload):
    """Returns an AMQP frame."""
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


def method(channel, name, number, arguments=b""):
    return frame(1, channel, struct.pack(">HH", name, number) + arguments)


def client_frame(payload):
    """Returns a WebSocket frame with a mask of zeros."""
    text = isinstance(payload, str)
    payload = payload.encode() if text else payload
    size = struct.pack(">BQ", 0xFF, len(payload)) if len(payload) > 0xFFFF else struct.pack(">BH", 0xFE, len(payload))
    return bytes([0x81 if text else 0x82]) + size + bytes(4) + payload


def web_socket(server):
    """Opens a WebSocket to Engine.IO, and returns its socket after the handshake."""
    connection = socket.create_connection(("127.0.0.1", server.ports["chat"]), timeout=10)
    connection.sendall(b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                       b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
    if b" 101 " not in connection.recv(65536):
        raise RuntimeError("the WebSocket handshake failed")
    return connection


class RawBroker:
    """A connection to the broker that sends raw frames, and reads only in `read`."""

    def __init__(self, port, login=True):
        self.connection = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.connection.sendall(b"AMQP\0\0\x09\x01")
        if login:
            self.read(10, 10)
            self.connection.sendall(method(0, 10, 11, bytes(4) + b"\5PLAIN" + struct.pack(">I", 12) + b"\0guest\0guest" + b"\5en_US"))
            self.read(10, 30)
            self.connection.sendall(method(0, 10, 31, struct.pack(">HIH", 2047, 131072, 0)) + method(0, 10, 40, b"\1/\0\0"))
            self.read(10, 41)
            self.connection.sendall(method(1, 20, 10, b"\0"))
            self.read(20, 11)

    def read(self, name, number):
        """Reads frames up to one with the given method."""
        while True:
            kind, _, size = struct.unpack(">BHI", self.exactly(7))
            payload = self.exactly(size + 1)
            if kind == 1 and struct.unpack(">HH", payload[:4]) == (name, number):
                return

    def exactly(self, count):
        data = b""
        while len(data) < count:
            part = self.connection.recv(count - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def pour(self, data, seconds=3):
        """Sends for some seconds, or until the broker stops reading, without reading."""
        self.connection.settimeout(seconds)
        with contextlib.suppress(OSError):
            self.connection.sendall(data)
