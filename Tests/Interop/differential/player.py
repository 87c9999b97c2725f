"""Plays a sequence of steps against one broker, and writes down what its clients see.

A step is a list: a client (`a1` is channel 1 of connection a), a method and its fields. Steps of
the player itself: `wait` lets short times pass, `drop` ends a connection without a close, and
`channel.open` is implied by the first step on a channel.
"""

import time

from differential.client import SECONDS, Connection

# The times that sequences use, in milliseconds: a time is over at once, after a `wait`, or never.
SHORT, WAIT = 300, 500
# From the first short time on, steps between two waits take at most this long. Else a short time
# may end between them.
SLOW = 0.2
ROUNDS = 30


def ordered(value):
    """Returns a value whose tables have their fields in order."""
    if isinstance(value, dict):
        return {key: ordered(value[key]) for key in sorted(value)}
    return [ordered(item) for item in value] if isinstance(value, list) else value


class TooSlow(Exception):
    """The machine was too slow for the times of the sequence."""


class Player:
    def __init__(self, port):
        self.port, self.connections, self.lines = port, {}, []
        # The deliveries of each channel that are not settled, by the number of their channel.
        self.held, self.modes, self.published = {}, {}, {}
        self.tags, self.names = {}, {}
        self.queues, self.exchanges, self.since = [], [], None
        self.seen, self.bindings = {}, []
        self.observer = Connection(port)

    def channel(self, client):
        """Returns the open connection and channel of a client such as `a1`."""
        name, number = client[0], int(client[1:])
        if name not in self.connections or not self.connections[name].open:
            self.connections[name] = Connection(self.port)
            self.forget(name)
        connection = self.connections[name]
        if number not in connection.channels:
            connection.open_channel(number)
            self.forget(client)
        return connection, number

    def forget(self, client):
        for book in (self.held, self.modes, self.published, self.seen):
            for key in [key for key in book if key.startswith(client)]:
                del book[key]

    def play(self, steps):
        """Returns a list of lines for each step."""
        answers = []
        for step in steps:
            self.lines = []
            self.step(*step)
            self.settle()
            self.collect()
            answers.append(self.lines)
        return answers

    def step(self, client, method, fields=None):
        fields = dict(fields or {})
        if method == "wait":
            time.sleep(WAIT / 1000)
            self.since = time.monotonic()
            return
        if self.since is None and str(SHORT) in repr(fields):
            self.since = time.monotonic()
        if self.since is not None and time.monotonic() - self.since > SLOW:
            raise TooSlow
        connection, number = self.channel(client)
        if not connection.open:
            return
        if method == "drop":
            connection.drop()
            time.sleep(0.05)
        elif method == "connection.close":
            connection.call(0, method, reply_code=200)
            connection.drop()
        elif method == "basic.publish":
            self.published[client] = self.published.get(client, 0) + 1
            connection.send(number, method, fields.pop("properties", {}), fields.pop("body").encode(), **fields)
        elif method in ("basic.ack", "basic.nack", "basic.reject"):
            self.acknowledge(connection, number, client, method, fields)
        elif method == "basic.cancel":
            connection.call(number, method, **fields)
        else:
            self.remember(client, method, fields)
            answer = connection.call(number, method, **fields)
            if method == "channel.close":
                connection.channels.discard(number)
            if answer and method in ("confirm.select", "tx.select"):
                self.modes[client] = method
                self.published[client] = 0
            if method == "basic.recover":
                self.held[client] = []

    def remember(self, client, method, fields):
        if method in ("basic.get", "basic.consume"):
            self.tags[client, fields.get("consumer_tag", "get")] = fields.get("no_ack", False)
        if method == "queue.declare" and fields["queue"] not in self.queues:
            self.queues.append(fields["queue"])
        if method == "exchange.bind":
            self.bindings.append(fields)
        if method == "exchange.declare" and fields["exchange"] not in self.exchanges:
            self.exchanges.append(fields["exchange"])

    def acknowledge(self, connection, number, client, method, fields):
        """The field `which` chooses a delivery: the first, the last, all, or one that is unknown."""
        held, which = self.held.setdefault(client, []), fields.pop("which")
        tag = {"all": 0, "unknown": 4711}.get(which) if which in ("all", "unknown") else None
        if tag is None:
            if not held:
                return
            tag = held[0] if which == "first" else held[-1]
        multiple = fields.get("multiple")
        self.held[client] = [] if multiple and not tag else [t for t in held if t > tag or not multiple and t != tag]
        connection.send(number, method, delivery_tag=tag, **fields)

    def settle(self):
        """Waits until every message has come to where it goes.

        An answer of a queue says that the queue has handled all that was sent to it before, and an
        answer on a channel that the channel has delivered it. A dead letter goes on to another
        queue, so this is repeated until two rounds look the same.
        """
        before = None
        for _ in range(ROUNDS):
            states = self.states()
            self.pass_barriers()
            now = states, {name: sum(map(len, c.events.values())) - self.barriers(c) for name, c in self.connections.items()}
            if now == before and not self.unconfirmed():
                break
            before = now
        else:
            self.lines.append("not settled")
        for queue, state in zip(self.queues, before[0]):
            if self.seen.get(f"queue {queue}", "absent") != state:
                self.seen[f"queue {queue}"] = state
                self.lines.append(f"queue {queue}: {state}")

    def clients(self):
        return [f"{name}{number}" for name, connection in sorted(self.connections.items()) if connection.open
                for number in sorted(connection.channels)]

    def barriers(self, connection):
        return sum(event[0] == "exchange.declare-ok" for events in connection.events.values() for event in events)

    def unconfirmed(self):
        """Waits for confirms that are under way, and returns whether one is missing."""
        missing = False
        for client in self.clients():
            if self.modes.get(client) != "confirm.select":
                continue
            connection, number = self.connections[client[0]], int(client[1:])
            end = time.monotonic() + SECONDS
            while self.confirmed(client) < self.published.get(client, 0) and number in connection.channels:
                missing = True
                if not connection.receive(end - time.monotonic()):
                    self.lines.append(f"{client}: not confirmed")
                    self.published[client] = 0
        return missing

    def confirmed(self, client):
        connection, number = self.connections[client[0]], int(client[1:])
        upto, single = self.seen.get(f"{client} confirmed", (0, ()))
        single = set(single)
        for name, values in connection.events.get(number, []):
            if name in ("basic.ack", "basic.nack"):
                if values["multiple"]:
                    upto = max(upto, values["delivery_tag"])
                else:
                    single.add(values["delivery_tag"])
        return len(single | set(range(1, upto + 1)))

    def pass_barriers(self):
        """Waits for an answer on each channel."""
        sent = []
        for client in self.clients():
            connection, number = self.connections[client[0]], int(client[1:])
            # A close may have come with the answer of an earlier channel.
            if number in connection.channels:
                sent.append((connection, number, connection.count(number)))
                connection.send(number, "exchange.declare", exchange="amq.direct", type="direct", passive=True)
        for connection, number, count in sent:
            connection.expect(number, "exchange.declare-ok", after=count)

    def states(self):
        """Returns the state of each queue, which the observer asks for on a channel of its own."""
        for number, queue in enumerate(self.queues, 1):
            self.observer.open_channel(number)
            self.observer.events.pop(number, None)
            self.observer.send(number, "queue.declare", queue=queue, passive=True)
        states = []
        for number in range(1, len(self.queues) + 1):
            answer = self.observer.expect(number, "queue.declare-ok", after=0)
            if answer:
                states.append(f"{answer[1]['message_count']} messages, {answer[1]['consumer_count']} consumers")
            else:
                code = next((values["reply_code"] for name, values in self.observer.events.get(number, []) if name == "channel.close"), None)
                states.append("absent" if code == 404 else f"refused with {code}")
        return states

    def collect(self):
        """Writes down all that the clients have received since the last step."""
        for name, connection in sorted(self.connections.items()):
            for number in sorted(connection.events):
                client = f"{name}{number}"
                acks, nacks = [], []
                for method, values in connection.events[number]:
                    if method == "exchange.declare-ok" and not values:
                        continue
                    if method in ("basic.deliver", "basic.get-ok") and not self.no_ack(client, method, values):
                        self.held.setdefault(client, []).append(values["delivery_tag"])
                    if method in ("basic.ack", "basic.nack"):
                        first = max(self.settled(client), default=0) + 1
                        many = range(first, values["delivery_tag"] + 1) if values["multiple"] else [values["delivery_tag"]]
                        (acks if method == "basic.ack" else nacks).extend(many)
                        self.settled(client).update(many)
                        upto, single = self.seen.get(f"{client} confirmed", (0, ()))
                        self.seen[f"{client} confirmed"] = (upto, tuple({*single, *many}))
                        continue
                    self.lines.append(f"{client}: {method} {self.shown(method, values)}".rstrip())
                if acks:
                    self.lines.append(f"{client}: confirmed {sorted(acks)}")
                if nacks:
                    self.lines.append(f"{client}: rejected {sorted(nacks)}")
            connection.events.clear()

    def settled(self, client):
        return self.seen.setdefault(f"{client} settled", set())

    def no_ack(self, client, method, values):
        return self.tags.get((client, values.get("consumer_tag", "get")), False)

    def shown(self, method, values):
        """Returns an event's fields without those that brokers are free to choose (FREEDOMS)."""
        values = {key: value for key, value in values.items() if not key.startswith("reserved")}
        if method in ("channel.close", "connection.close"):
            return f"{values['reply_code']} {values['class_id']}.{values['method_id']}"
        if method == "basic.return":
            values.pop("reply_text")
        for key in ("queue", "consumer_tag"):
            if values.get(key, "").startswith("amq."):
                values[key] = self.names.setdefault(values[key], f"generated-{len(self.names) + 1}")
        headers = values.get("properties", {}).get("headers", {})
        for name in [name for name in headers if name.startswith("x-last-death-")]:
            del headers[name]
        for death in values.get("properties", {}).get("headers", {}).get("x-death", []):
            death["time"] = 0 if isinstance(death.get("time"), int) else death.get("time")
        return str(ordered(values))

    def close(self):
        """Closes the connections, and deletes what the sequence has declared."""
        for connection in self.connections.values():
            if connection.open:
                connection.call(0, "connection.close", reply_code=200)
                connection.drop()
        for method, names in (("queue.delete", self.queues), ("exchange.delete", self.exchanges)):
            field = method.split(".")[0]
            for name in names:
                if name.startswith("amq.") or not name:
                    continue
                self.observer.open_channel(1)
                for _ in range(20):
                    if self.observer.call(1, method, **{field: name}):
                        break
                    # An exclusive queue goes a moment after its connection.
                    self.observer.open_channel(1)
                    time.sleep(0.02)
        # Bindings between the broker's own exchanges would stay.
        for fields in self.bindings:
            self.observer.open_channel(1)
            self.observer.call(1, "exchange.unbind", **fields)
        self.observer.call(0, "connection.close", reply_code=200)
        self.observer.drop()
