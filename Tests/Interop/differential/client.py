"""A client that sends single methods and keeps all that it receives, in order."""

import select
import socket
import struct
import time

import differential.codec as codec

# A broker that has not answered after these seconds does not answer.
SECONDS = 5


class Connection:
    """`events` holds for each channel the received methods, each with its fields, and the
    properties and the body of content. A close of the broker is answered at once."""

    def __init__(self, port, has_capabilities=True):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer, self.events, self.channels, self.open = b"", {}, set(), True
        self.content = {}
        self.socket.sendall(b"AMQP\0\0\x09\x01")
        self.expect(0, "connection.start")
        capabilities = {"publisher_confirms": True, "basic.nack": True, "consumer_cancel_notify": True,
                        "exchange_exchange_bindings": True, "authentication_failure_close": True}
        self.send(0, "connection.start-ok", client_properties={"capabilities": capabilities if has_capabilities else {}}, mechanism="PLAIN",
                  response="\0guest\0guest", locale="en_US")
        _, tune = self.expect(0, "connection.tune")
        self.send(0, "connection.tune-ok", **{**tune, "heartbeat": 0})
        self.call(0, "connection.open", virtual_host="/")
        self.events.clear()

    def count(self, channel):
        return len(self.events.get(channel, []))

    def expect(self, channel, *names, after=None):
        """Returns the next event of a channel with one of these names, or None if the channel or
        the connection is closed first, or nothing comes for some seconds. `after` is the number of
        events that are not looked at; by default all that have arrived."""
        at = self.count(channel) if after is None else after
        end = time.monotonic() + SECONDS
        while True:
            for event in self.events.get(channel, [])[at:]:
                if event[0] in names:
                    return event
            if not self.open or channel and channel not in self.channels and names != ("channel.open-ok",):
                return None
            if not self.receive(end - time.monotonic()):
                if self.open:
                    self.note(channel, ("no answer", {}))
                    self.drop()
                return None

    def send(self, channel, name, properties=None, body=None, **values):
        data = codec.frame(1, channel, codec.write_method(name, values))
        if body is not None:
            data += codec.frame(2, channel, codec.write_properties(len(body), properties or {}))
            data += b"".join(codec.frame(3, channel, body[at:at + 100_000]) for at in range(0, len(body), 100_000))
        try:
            self.socket.sendall(data)
        except OSError:
            self.ended()

    def call(self, channel, name, **values):
        """Sends a method and waits for its answer."""
        answers = {"basic.get": ("basic.get-ok", "basic.get-empty")}.get(name, (name + "-ok",))
        self.send(channel, name, **values)
        return self.expect(channel, *answers)

    def open_channel(self, channel):
        if self.open and channel not in self.channels:
            if self.call(channel, "channel.open"):
                self.channels.add(channel)
                self.events[channel] = [event for event in self.events[channel] if event[0] != "channel.open-ok"]

    def note(self, channel, event):
        self.events.setdefault(channel, []).append(event)

    def ended(self):
        if self.open:
            self.note(0, ("closed without a word", {}))
        self.drop()

    def drop(self):
        self.open = False
        self.channels.clear()
        self.socket.close()

    def receive(self, seconds):
        """Reads what arrives within some time. Returns whether anything has."""
        if not self.open or not select.select([self.socket], [], [], max(seconds, 0))[0]:
            return False
        try:
            data = self.socket.recv(1 << 20)
        except OSError:
            data = b""
        if not data:
            self.ended()
            return False
        self.buffer += data
        while len(self.buffer) >= 7:
            kind, channel, size = struct.unpack(">BHI", self.buffer[:7])
            if len(self.buffer) < size + 8:
                break
            payload, self.buffer = self.buffer[7:7 + size], self.buffer[8 + size:]
            self.handle(kind, channel, payload)
        return True

    def handle(self, kind, channel, payload):
        if kind == 1:
            name, values = codec.read_method(payload)
            if name in ("basic.deliver", "basic.get-ok", "basic.return"):
                self.content[channel] = [name, values]
                return
            if name == "channel.close":
                self.channels.discard(channel)
                self.send(channel, "channel.close-ok")
            self.note(channel, (name, values))
            if name == "connection.close":
                self.send(0, "connection.close-ok")
                self.drop()
        elif kind == 2:
            size, properties = codec.read_properties(payload)
            self.content[channel] += [size, properties, b""]
        elif kind == 3:
            self.content[channel][4] += payload
        if kind in (2, 3) and len(self.content[channel][4]) == self.content[channel][2]:
            name, values, _, properties, body = self.content.pop(channel)
            self.note(channel, (name, {**values, "properties": properties, "body": body.decode("utf-8", "replace")}))
