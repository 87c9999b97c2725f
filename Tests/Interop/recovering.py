"""A client of Socket.IO that keeps `pid` and offset as socket.io-client 4.6 does, over the real
bytes of a WebSocket."""

import json
import queue
import time

import engineio


class RecoveringSocket:
    def __init__(self, session):
        self.session = session
        self.pid = None
        self.offset = None
        self.engine = None

    def connect(self, port, recover=True):
        """Connects, and returns the answer to CONNECT."""
        self.packets = queue.Queue()
        engine = engineio.Client()
        engine.on("message", self.packets.put)
        engine.connect(f"http://127.0.0.1:{port}", transports=["websocket"], engineio_path="socket.io")
        self.engine = engine
        auth = {"sessionID": self.session}
        if recover:
            auth["recover"] = True
        if self.pid:
            auth = {"pid": self.pid, "offset": self.offset, **auth}
            # JSON.stringify leaves undefined members out.
            if self.offset is None:
                del auth["offset"]
        engine.send("0" + json.dumps(auth))
        packet = self.packets.get(timeout=10)
        if not packet.startswith("0"):
            raise AssertionError(packet)
        answer = json.loads(packet[1:])
        self.recovered = "pid" in answer and answer["pid"] == self.pid
        self.pid = answer.get("pid")
        return answer

    def event(self, timeout=5):
        """Returns the next event with its arguments."""
        packet = self.packets.get(timeout=timeout)
        assert packet.startswith("2["), packet
        event = json.loads(packet[1:])
        if self.pid and isinstance(event[-1], str):
            self.offset = event[-1]
        return event

    def contents(self, count):
        """The contents of the next messages. Other events are skipped."""
        found = []
        while len(found) < count:
            event = self.event()
            if event[0] == "new_message":
                found.append(event[1]["content"])
        return found

    def nothing(self, timeout=0.3):
        """Whether no event arrives."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            try:
                if self.event(timeout=max(0.01, end - time.monotonic()))[0] == "new_message":
                    return False
            except queue.Empty:
                return True
        return True

    def cut(self):
        """Cuts the TCP connection without a word."""
        self.engine.ws.sock.close()
        self.engine.ws.sock = None
        try:
            self.engine.disconnect(abort=True)
        except Exception:
            pass

    def close(self):
        if self.engine:
            self.engine.disconnect()
