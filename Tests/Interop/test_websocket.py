"""A table of RFC 6455 cases, sent over raw sockets to a live WebSocket server."""

import base64
import hashlib
import os
import socket
import struct
import unittest

from echo import EchoCase

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame(opcode, payload=b"", final=True, reserved=0, mask=b"\x37\xfa\x21\x3d"):
    head = bytes([(0x80 if final else 0) | reserved | opcode])
    bit = 0x80 if mask else 0
    if len(payload) < 126:
        head += bytes([bit | len(payload)])
    elif len(payload) < 65536:
        head += bytes([bit | 126]) + struct.pack(">H", len(payload))
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", len(payload))
    if not mask:
        return head + payload
    return head + mask + bytes(byte ^ mask[i & 3] for i, byte in enumerate(payload))


def table():
    """Yields a name, the bytes to send, the expected messages, and the close code (None if still
    open)."""
    for size in (0, 1, 2, 124, 125, 126, 127, 128, 65534, 65535, 65536, 65537, 200000):
        yield f"text of {size}", frame(TEXT, b"*" * size), [(TEXT, b"*" * size)], None
        yield f"binary of {size}", frame(BINARY, b"\xfe" * size), [(BINARY, b"\xfe" * size)], None
    for size in (0, 1, 64, 124, 125):
        yield f"ping of {size}", frame(PING, b"\x00\xff"[:1] * size), [(PONG, b"\x00" * size)], None
        yield f"pong of {size} is ignored", frame(PONG, b"x" * size) + frame(TEXT, b"a"), [(TEXT, b"a")], None
    for mask in (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x01\x02\x03\x04", os.urandom(4)):
        yield f"mask {mask.hex()}", frame(TEXT, b"masked text", mask=mask), [(TEXT, b"masked text")], None
    yield "ten pings", b"".join(frame(PING, bytes([n])) for n in range(10)), [(PONG, bytes([n])) for n in range(10)], None
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        yield f"opcode {opcode}", frame(opcode), [], 1002
        yield f"opcode {opcode} with a payload", frame(opcode, b"abc"), [], 1002
        yield f"opcode {opcode} after a message", frame(TEXT, b"a") + frame(opcode), [(TEXT, b"a")], 1002
    for bits in (0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70):
        for opcode in (TEXT, BINARY, PING, PONG, CLOSE):
            yield f"reserved bits {bits:#x} on {opcode}", frame(opcode, b"", reserved=bits), [], 1002
    for opcode in (TEXT, BINARY, PING, CLOSE):
        yield f"unmasked {opcode}", frame(opcode, b"", mask=b""), [], 1002
    for opcode in (PING, PONG, CLOSE):
        yield f"fragmented control {opcode}", frame(opcode, b"", final=False), [], 1002
        for size in (126, 200, 70000):
            yield f"control {opcode} of {size}", frame(opcode, b"\x03\xe8" + b"x" * (size - 2)), [], 1002
    for count in (1, 2, 3, 10, 100):
        parts = frame(TEXT, b"a", final=False) + frame(0, b"b", final=False) * count + frame(0, b"c")
        yield f"{count + 2} fragments", parts, [(TEXT, b"a" + b"b" * count + b"c")], None
        yield f"{count + 2} binary fragments", parts.replace(parts[:1], b"\x02", 1), [(BINARY, b"a" + b"b" * count + b"c")], None
    yield "empty fragments", frame(TEXT, final=False) + frame(0, final=False) + frame(0), [(TEXT, b"")], None
    yield "ping within fragments", frame(TEXT, b"a", final=False) + frame(PING, b"p") + frame(0, b"b"), [(PONG, b"p"), (TEXT, b"ab")], None
    yield "close within fragments", frame(TEXT, b"a", final=False) + frame(CLOSE, b"\x03\xe8"), [], 1000
    for final in (True, False):
        yield f"continuation of nothing, final {final}", frame(0, b"a", final=final), [], 1002
        yield f"continuation after a message, final {final}", frame(TEXT, b"a") + frame(0, b"b", final=final), [(TEXT, b"a")], 1002
        for opcode in (TEXT, BINARY):
            yield f"new message {opcode} within another, final {final}", frame(TEXT, b"a", final=False) + frame(opcode, b"b", final=final), [], 1002
    sample = "κόσμε 😀 é \u07ff\u0800\uffff\U0010ffff".encode()
    for split in range(len(sample) + 1):
        yield f"UTF-8 split at {split}", frame(TEXT, sample[:split], final=False) + frame(0, sample[split:]), [(TEXT, sample)], None
    for name, text in {
        "lone continuation": b"\x80", "0xff": b"\xff", "0xfe": b"\xfe", "overlong slash": b"\xc0\xaf", "overlong three": b"\xe0\x80\xaf",
        "overlong four": b"\xf0\x80\x80\xaf", "overlong NUL": b"\xc0\x80", "five bytes": b"\xf8\x88\x80\x80\x80", "six bytes": b"\xfc\x84\x80\x80\x80\x80",
        "surrogate D800": b"\xed\xa0\x80", "surrogate DFFF": b"\xed\xbf\xbf", "surrogate pair": b"\xed\xa0\xbd\xed\xb8\x80", "beyond": b"\xf4\x90\x80\x80",
        "cut two": b"\xc3", "cut three": b"\xe2\x82", "cut four": b"\xf0\x9f\x98", "lead then ASCII": b"\xe2A", "0xf5": b"\xf5\x80\x80\x80",
    }.items():
        yield f"UTF-8 {name}", frame(TEXT, text), [], 1007
        yield f"UTF-8 {name} after good text", frame(TEXT, b"good " + text), [], 1007
        yield f"UTF-8 {name} in a second fragment", frame(TEXT, b"good", final=False) + frame(0, text), [], 1007
        yield f"UTF-8 {name} is fine in binary", frame(BINARY, text), [(BINARY, text)], None
        yield f"UTF-8 {name} in a close reason", frame(CLOSE, b"\x03\xe8" + text), [], 1007
    for text in (b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xf4\x8f\xbf\xbf", b"\xef\xbf\xbd", b"\x00", b"\x7f", b"\xc2\x80"):
        yield f"UTF-8 {text.hex()} is fine", frame(TEXT, text), [(TEXT, text)], None
    yield "close without a code", frame(CLOSE), [], 0
    yield "close of one byte", frame(CLOSE, b"\x03"), [], 1002
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999):
        yield f"close {code}", frame(CLOSE, struct.pack(">H", code)), [], code
        yield f"close {code} with a reason", frame(CLOSE, struct.pack(">H", code) + "größe".encode()), [], code
    for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
        yield f"close {code} may not be sent", frame(CLOSE, struct.pack(">H", code)), [], 1002
    yield "a reason of 123 bytes", frame(CLOSE, b"\x03\xe8" + b"x" * 123), [], 1000
    yield "nothing after a close", frame(CLOSE, b"\x03\xe8") + frame(TEXT, b"late"), [], 1000
    yield "length 125 in two bytes", b"\x82\xfe\x00\x7d\0\0\0\0" + b"x" * 125, [], 1002
    yield "length 65535 in eight bytes", b"\x82\xff" + struct.pack(">Q", 65535) + b"\0\0\0\0", [], 1002
    yield "length with its highest bit", b"\x82\xff" + struct.pack(">Q", 1 << 63) + b"\0\0\0\0", [], 1002
    yield "a frame that is too big", b"\x82\xff" + struct.pack(">Q", 17 << 20) + b"\0\0\0\0", [], 1009
    yield "a message that is too big", (frame(BINARY, b"x" * (9 << 20), final=False) + frame(0, b"x" * (9 << 20))), [], 1009


class Peer:
    def __init__(self, port):
        self.socket = socket.create_connection(("localhost", port), timeout=10)
        key = base64.b64encode(os.urandom(16))
        self.socket.sendall(b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
                            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + b"\r\n\r\n")
        self.rest = b""
        while b"\r\n\r\n" not in self.rest:
            self.rest += self.socket.recv(65536)
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        assert head.startswith(b"HTTP/1.1 101 ") and b"sec-websocket-accept: " + accept in head, head

    def take(self, count):
        while len(self.rest) < count:
            part = self.socket.recv(1 << 20)
            if not part:
                raise EOFError
            self.rest += part
        part, self.rest = self.rest[:count], self.rest[count:]
        return part

    def frame(self):
        first, second = self.take(2)
        assert first & 0xF0 == 0x80 and second & 0x80 == 0, "a fragmented, reserved or masked frame from a server"
        length = second
        if length == 126:
            length, = struct.unpack(">H", self.take(2))
        elif length == 127:
            length, = struct.unpack(">Q", self.take(8))
        return first & 15, self.take(length)


class WebSocket(EchoCase):
    def run_case(self, data, messages, code, size):
        peer = Peer(self.echo.port)
        with peer.socket:
            try:
                for start in range(0, len(data), size):
                    peer.socket.sendall(data[start:start + size])
            except (BrokenPipeError, ConnectionResetError):
                pass
            for message in messages:
                self.assertEqual(peer.frame(), message)
            if code is None:
                peer.socket.sendall(frame(PING, b"alive"))
                self.assertEqual(peer.frame(), (PONG, b"alive"))
                return
            opcode, payload = peer.frame()
            self.assertEqual(opcode, CLOSE)
            self.assertEqual(struct.unpack(">H", payload[:2])[0] if payload else 0, code)
            with self.assertRaises((EOFError, ConnectionResetError)):
                peer.take(1)

    def test_table(self):
        cases = list(table())
        self.assertGreaterEqual(len(cases), 250)
        for name, data, messages, code in cases:
            with self.subTest(name):
                self.run_case(data, messages, code, len(data) or 1)
            if len(data) < 300:
                with self.subTest(name + ", a byte at a time"):
                    self.run_case(data, messages, code, 1)
        print(len(cases), "cases")

    def test_handshakes(self):
        good = {"Host": "x", "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": base64.b64encode(b"x" * 16).decode()}
        for change, status in (({"Upgrade": "h2c"}, 426), ({"Connection": "close"}, 426), ({"Sec-WebSocket-Version": "8"}, 426),
                               ({"Sec-WebSocket-Key": "short"}, 400), ({"Sec-WebSocket-Key": None}, 400), ({}, 101), ({"Upgrade": "WebSocket"}, 101)):
            with self.subTest(change), socket.create_connection(("localhost", self.echo.port), timeout=5) as connection:
                fields = "".join(f"{k}: {v}\r\n" for k, v in {**good, **change}.items() if v is not None)
                connection.sendall(f"GET /echo HTTP/1.1\r\n{fields}\r\n".encode())
                self.assertTrue(connection.recv(4096).startswith(f"HTTP/1.1 {status} ".encode()))


if __name__ == "__main__":
    unittest.main()
