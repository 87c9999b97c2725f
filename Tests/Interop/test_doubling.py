"""Time and memory of the server grow linearly with a client's input: twice the input costs at most
2.3 times as much."""

import json
import struct
import unittest
from statistics import median

import harness
from harness import Client, Server
from hostile import RawBroker, client_frame, frame, growth, method, settled, web_socket

# The costs of two doublings are compared: noise of a sixth would hide or feign a single one.
FACTOR = 2.3**2
# The sizes are measured in turns, so that other load affects both. The cheapest round counts.
ROUNDS = 5
# Fixed costs of any input, and the precision of the measurement.
SLACK_SECONDS, SLACK_MEBIBYTES = 0.004, 4


def http(path, lines=(), body=b"", method="POST", kind="application/json"):
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Type: {kind}", *lines]
    if body and not any(line.startswith("Transfer-Encoding") for line in lines):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def words(count):
    return [f"name{number}" for number in range(count)]


def customer(data):
    return json.dumps({"EMAIL": "a@example.com", "PASSWORD": "x" * 20, "PERSONA_TYPE": "SUPPLIERS", "DATA": data}, ensure_ascii=False).encode()


# Name, service, size, number of requests, and the bytes of a request of that size.
REQUESTS = [
    ("header fields", "users", 50, 100, lambda n: http("/health", [f"X-{word}: {word}" for word in words(n)], method="GET")),
    ("fields of a forwarded request", "users", 50, 100, lambda n: http("/health", ["X-Forwarded-For: 10.0.0.1"] * n, method="GET")),
    ("a long field", "users", 14_000, 100, lambda n: http("/health", ["X-Long: " + "a, " * (n // 3)], method="GET")),
    ("a long target", "users", 14_000, 100, lambda n: http("/health/" + "a/" * (n // 2), method="GET")),
    ("parameters of a query", "chat", 1200, 30, lambda n: http("/getGroups?" + "&".join(f"{word}=1" for word in words(n)), method="GET")),
    ("one parameter repeated", "chat", 1200, 30, lambda n: http("/getGroups?" + "&".join(["sessionID=1"] * n), method="GET")),
    ("escapes in a query", "chat", 4000, 30, lambda n: http("/getGroups?sessionID=" + "%41" * n, method="GET")),
    ("parameters of a form", "chat", 4900, 3, lambda n: http("/createGroup", body="&".join(f"members={word}" for word in words(n)).encode(), kind="application/x-www-form-urlencoded")),
    ("escapes in a form", "chat", 150_000, 3, lambda n: http("/createGroup", body=b"name=" + b"%41" * n, kind="application/x-www-form-urlencoded")),
    ("chunks", "users", 50_000, 1, lambda n: http("/login", ["Transfer-Encoding: chunked"], b"1\r\n \r\n" * n + b"0\r\n\r\n")),
    ("fields after the last chunk", "users", 50, 100, lambda n: http("/login", ["Transfer-Encoding: chunked"], b"1\r\n \r\n0\r\n" + b"".join(f"X-{word}: 1\r\n".encode() for word in words(n)) + b"\r\n")),
    ("pipelined requests", "users", 1000, 1, lambda n: http("/health", method="GET") * n),
    ("white space", "users", 400_000, 1, lambda n: http("/login", body=b" " * n)),
    ("numbers of a list", "customers", 100_000, 1, lambda n: http("/requestSessionCreation", body=customer([1] * n))),
    ("members of an object", "customers", 25_000, 1, lambda n: http("/requestSessionCreation", body=customer(dict.fromkeys(words(n), 1)))),
    ("members with combining marks in their names", "customers", 10_000, 1, lambda n: http("/requestSessionCreation", body=customer({"e\u0301" * 5 + word: 1 for word in words(n)}))),
    ("escapes in JSON", "customers", 70_000, 1, lambda n: http("/requestSessionCreation", body=customer("") [:-1] + b',"MORE":"' + b"\\u00e9" * n + b'"}')),
    ("digits of a number", "customers", 200_000, 1, lambda n: http("/requestSessionCreation", body=customer("")[:-1] + b',"MORE":0.' + b"1" * n + b"}")),
    ("combining marks in a name", "users", 100_000, 1, lambda n: http("/login", body=json.dumps({"user": "a" + "\u0301\u0323" * (n // 2), "password": "x"}, ensure_ascii=False).encode())),
    ("names of new members", "chat", 400, 3, lambda n: http("/createGroup", body=json.dumps({"sessionID": "x", "name": "x", "members": words(n)}).encode())),
]

# Name, size, and the frames of that size. The test then waits for the answer to `channel.close`.
FRAMES = [
    ("queues", 4000, lambda n: b"".join(declare(word) for word in words(n))),
    ("bindings of one queue", 4000, lambda n: declare("q") + b"".join(bind("q", "amq.direct", word) for word in words(n))),
    ("bindings by pattern", 4000, lambda n: declare("q") + b"".join(bind("q", "amq.topic", f"{word}.#") for word in words(n))),
    ("bindings by headers", 2000, lambda n: declare("q") + b"".join(bind_headers("q", word) for word in words(n))),
    ("bindings between exchanges", 2000, lambda n: b"".join(exchange(word) + bind_exchange(word, "amq.fanout") for word in words(n)) + b"".join(map(delete_exchange, words(n)))),
    ("queues with bindings that end", 2000, lambda n: b"".join(declare(word) + bind(word, "amq.direct", "k") for word in words(n)) + b"".join(map(delete, words(n)))),
    ("words of a pattern", 50, lambda n: declare("q") + bind("q", "amq.topic", ".".join(["#", "a"] * (n // 2))[:255]) + publish("amq.topic", ".".join("a" * n)) * 20),
    ("messages", 3000, lambda n: declare("q") + publish("", "q") * n),
    ("messages that are requeued", 1500, lambda n: declare("q") + publish("", "q") * n + method(1, 60, 70, b"\0\0\1q\0") * n + method(1, 60, 120, struct.pack(">QB", 0, 3))),
    ("messages acknowledged in reverse order", 1500, lambda n: declare("q") + publish("", "q") * n + method(1, 60, 70, b"\0\0\1q\0") * n + b"".join(method(1, 60, 80, struct.pack(">QB", tag, 0)) for tag in range(n, 0, -1))),
    ("channels", 900, lambda n: b"".join(method(channel, 20, 10, b"\0") for channel in range(2, n + 2))),
    ("consumers", 900, lambda n: declare("q") + b"".join(method(1, 60, 20, b"\0\0\1q" + short(word) + b"\0" + bytes(4)) for word in words(n))),
]


def short(text):
    return bytes([len(text)]) + text.encode()


def declare(name):
    # Exclusive, so it is deleted with the connection.
    return method(1, 50, 10, b"\0\0" + short(name) + b"\4" + bytes(4))


def bind(queue, exchange, key):
    return method(1, 50, 20, b"\0\0" + short(queue) + short(exchange) + short(key) + b"\0" + bytes(4))


def bind_headers(queue, name):
    headers = short(name) + b"t\1"
    return method(1, 50, 20, b"\0\0" + short(queue) + short("amq.headers") + short("") + b"\0" + struct.pack(">I", len(headers)) + headers)


def exchange(name):
    return method(1, 40, 10, b"\0\0" + short(name) + short("fanout") + b"\0" + bytes(4))


def delete_exchange(name):
    return method(1, 40, 20, b"\0\0" + short(name) + b"\0")


def bind_exchange(destination, source):
    return method(1, 40, 30, b"\0\0" + short(destination) + short(source) + short("") + b"\0" + bytes(4))


def delete(queue):
    return method(1, 50, 40, b"\0\0" + short(queue) + b"\0")


def publish(exchange, key):
    return method(1, 60, 40, b"\0\0" + short(exchange) + short(key) + b"\0") + frame(2, 1, struct.pack(">HHQH", 60, 0, 1, 0)) + frame(3, 1, b"x")


# Name, size, and the WebSocket messages of that size. The test then waits for a pong.
MESSAGES = [
    ("packets for unknown namespaces", 1500, lambda n: [f"40/{word}," for word in words(n)]),
    ("events without a socket", 1500, lambda n: ['42["send_message",{}]'] * n),
    ("a long event", 200_000, lambda n: ["42" + json.dumps(["send_message", "x" * n])]),
    ("attachments", 300, lambda n: [f"45{n}-" + json.dumps(["x", *({"_placeholder": True, "num": number} for number in range(n))])] + [b"x"] * n),
]


class Doubling(unittest.TestCase):
    def compare(self, size, run):
        """Compares the costs of half of `size` and of twice as much, on a new process."""
        with Server(services=("broker", "users", "manager", "supervisor", "chat", "customers")) as server:
            less, more = size // 2, 2 * size
            spent, grown = {less: [], more: []}, {less: [], more: []}
            for count in (less, more) * ROUNDS:
                before = settled(server)
                with growth(server) as peak:
                    run(server, count)
                spent[count].append(settled(server) - before)
                grown[count].append(peak[0])
            self.assertLess(min(spent[more]), FACTOR * min(spent[less]) + SLACK_SECONDS, spent)
            # The allocator keeps freed memory, so a round may seem to need none.
            self.assertLess(median(grown[more]), FACTOR * median(grown[less]) + SLACK_MEBIBYTES, grown)

    def test_requests(self):
        for name, service, size, repeats, request in REQUESTS:
            def run(server, count):
                data = request(count)
                last = http("/health", ["Connection: close"], method="GET")
                answer = harness.raw(server.ports[service], data * repeats + last, timeout=20)
                self.assertIn(b"HTTP/1.1 ", answer)
            with self.subTest(name):
                self.compare(size, run)

    def test_frames(self):
        for name, size, frames in FRAMES:
            def run(server, count):
                broker = RawBroker(server.ports["broker"])
                broker.connection.settimeout(30)
                broker.connection.sendall(frames(count))
                broker.connection.sendall(method(1, 20, 40, b"\0\0\0\0\0\0\0"))
                broker.read(20, 41)
                broker.connection.close()
            with self.subTest(name):
                self.compare(size, run)

    def test_messages(self):
        for name, size, messages in MESSAGES:
            def run(server, count):
                connection = web_socket(server)
                connection.settimeout(30)
                connection.sendall(b"".join(map(client_frame, [*messages(count), "2probe"])))
                answer = b""
                while b"3probe" not in answer[-20:] and (part := connection.recv(65536)):
                    answer += part
                connection.close()
            with self.subTest(name):
                self.compare(size, run)


if __name__ == "__main__":
    unittest.main()
