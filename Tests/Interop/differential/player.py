"""Plays a sequence of steps against one broker, and writes down what its clients see.

A step is a list: a client (`a1` is channel 1 of connection a), a method and its fields. Steps of
the player itself: `wait` lets short times pass, `drop` ends a connection without a close, `reply`
publishes to the latest address for a direct reply that a client was sent, and `again` publishes
the latest message that the client was sent, with its properties. `channel.open` is implied by the
first step on a channel. The clients of connection c have no capabilities.
"""

import copy
import json
import re
import time
import zlib

from differential.client import SECONDS, Connection
from differential.freedoms import SHARED_END

# The times that sequences use, in milliseconds: a time is over at once, after a `wait`, or never. A
# message may pass several queues in a wait, so a wait is longer by a short time for each further
# one.
SHORT, WAIT = 300, 500
# From the first short time on, steps between two waits take at most this long. Else a short time
# may end between them.
SLOW = 0.2
ROUNDS = 30
# Time in seconds for what has no answer: the end of a connection, and the return of messages.
ENDED, RETURNED = 0.05, 0.1
REPLIES = "amq.rabbitmq.reply-to"
# Names that a broker generates, for queues, consumers and direct replies.
GENERATED = re.compile(r"amq\.(?:gen-|ctag-|rabbitmq\.reply-to\.)[-A-Za-z0-9+/=_.]+")
# Methods that remove line breaks from names.
DECLARING = ("queue.declare", "queue.delete", "queue.bind", "queue.unbind",
             "exchange.declare", "exchange.delete", "exchange.bind", "exchange.unbind")
# Bodies are shown whole up to this size.
SHOWN = 40


def ordered(value):
    """Returns a value whose tables have their fields in order."""
    if isinstance(value, dict):
        return {key: ordered(value[key]) for key in sorted(value)}
    return [ordered(item) for item in value] if isinstance(value, list) else value


def plain(name):
    """Returns a name without line breaks."""
    return name.replace("\r", "").replace("\n", "")


def without_last_death(headers):
    return {name: value for name, value in headers.items() if not name.startswith("x-last-death-")}


class TooSlow(Exception):
    """The machine was too slow for the times of the sequence."""


class Player:
    def __init__(self, port):
        self.port, self.connections, self.lines = port, {}, []
        # The deliveries of each channel that are not settled, by the number of their channel.
        self.held, self.modes, self.published = {}, {}, {}
        # The queues of the consumers of each channel by their tags, and of what each channel holds by
        # the delivery tags.
        self.consumers, self.origins = {}, {}
        # The latest queue that each channel has declared, for which an empty name stands.
        self.declared = {}
        self.tags, self.names = {}, {}
        self.queues, self.exchanges, self.since = [], [], None
        # The queues that pass dead letters on, and where messages stay for a short time.
        self.passing, self.short = set(), set()
        self.seen, self.bindings = {}, []
        # The latest address for a reply, and the latest message of each client.
        self.address, self.latest = None, {}
        self.observer = Connection(port)

    def channel(self, client):
        """Returns the open connection and channel of a client such as `a1`."""
        name, number = client[0], int(client[1:])
        if name not in self.connections or not self.connections[name].open:
            self.connections[name] = Connection(self.port, has_capabilities=name != "c")
            self.forget(name)
        connection = self.connections[name]
        if number not in connection.channels:
            connection.open_channel(number)
            self.forget(client)
        return connection, number

    def forget(self, client):
        for book in (self.held, self.modes, self.published, self.seen, self.consumers, self.origins, self.declared):
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
            time.sleep((WAIT + SHORT * max(0, len(self.short) - 1)) / 1000)
            self.since = time.monotonic()
            return
        if self.since is None and str(SHORT) in repr(fields):
            self.since = time.monotonic()
        if fields.get("arguments", {}).get("x-message-ttl") == SHORT:
            self.short.add(plain(fields["queue"]))
        if fields.get("properties", {}).get("expiration") == str(SHORT):
            self.short.add("any queue")
        if self.since is not None and time.monotonic() - self.since > SLOW:
            raise TooSlow
        connection, number = self.channel(client)
        if not connection.open:
            return
        if method in ("drop", "connection.close"):
            self.note_end(client[0])
        if method == "drop":
            connection.drop()
            time.sleep(ENDED)
        elif method == "connection.close":
            connection.call(0, method, reply_code=200)
            connection.drop()
        elif method in ("basic.publish", "reply", "again"):
            self.publish(connection, number, client, method, fields)
        elif method in ("basic.ack", "basic.nack", "basic.reject"):
            self.acknowledge(connection, number, client, method, fields)
        elif method == "basic.cancel":
            self.consumers.get(client, {}).pop(fields["consumer_tag"], None)
            connection.call(number, method, **fields)
        else:
            self.remember(client, method, fields)
            if fields.get("no_wait"):
                connection.send(number, method, **fields)
                answer = True
            else:
                answer = connection.call(number, method, **fields)
            if method == "queue.declare" and answer:
                self.declared[client] = plain(fields["queue"]) or answer[1]["queue"]
                if not plain(fields["queue"]):
                    self.queues.append(answer[1]["queue"])
            if method == "channel.close":
                connection.channels.discard(number)
            if answer and method in ("confirm.select", "tx.select"):
                self.modes[client] = method
                self.published[client] = 0
            if method == "basic.recover":
                self.held[client] = []

    def publish(self, connection, number, client, method, fields):
        properties, body = fields.pop("properties", {}), fields.pop("body", "")
        if method == "reply":
            if not self.address:
                return
            fields = {**fields, "exchange": "", "routing_key": self.address}
        if method == "again":
            if client not in self.latest:
                return
            properties, body = self.latest[client]
            if fields.pop("loose", False):
                properties = json.loads(json.dumps(properties))
        self.published[client] = self.published.get(client, 0) + 1
        body += "." * fields.pop("more", 0)
        connection.send(number, "basic.publish", properties, body.encode(), **fields)

    def remember(self, client, method, fields):
        if method in ("basic.get", "basic.consume"):
            tag = fields.get("consumer_tag", "get")
            self.tags[client, tag] = fields.get("no_ack", False)
            self.consumers.setdefault(client, {})[tag] = fields["queue"] or self.declared.get(client)
        if method == "queue.declare":
            queue = plain(fields["queue"])
            if queue and queue not in self.queues:
                self.queues.append(queue)
            if "x-dead-letter-exchange" in fields.get("arguments", {}):
                self.passing.add(queue)
        if method == "exchange.bind":
            self.bindings.append(fields)
        if method == "exchange.declare" and plain(fields["exchange"]) not in self.exchanges:
            self.exchanges.append(plain(fields["exchange"]))

    def note_end(self, name):
        """Notes that a connection ends, if one of its channels may get what another one holds (FREEDOMS)."""
        clients = [client for client in self.held if client[0] == name]
        queues = {client: {self.origins.get(client, {}).get(tag) for tag in self.held[client]} for client in clients}
        others = [(client, queue) for client, consumers in self.consumers.items() if client[0] == name
                  for tag, queue in consumers.items() if tag != "get"]
        if any(queue in held and client != other for client, held in queues.items() for other, queue in others):
            self.lines.append(f"{name}0: {SHARED_END}")

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
        queue, and may leave it in the same moment. So this is repeated until several rounds look
        the same, one more for each queue that passes dead letters on. The messages that a channel
        held return some time after the broker has closed it. Nothing says when.
        """
        before, ended, same = None, 0, 0
        self.pass_barriers()
        for _ in range(ROUNDS):
            if self.returns() > ended:
                ended = self.returns()
                time.sleep(RETURNED)
            states = self.states()
            self.pass_barriers()
            now = states, {name: sum(map(len, c.events.values())) - self.barriers(c) for name, c in self.connections.items()}
            same = same + 1 if now == before and not self.unconfirmed() else 0
            if same > len(self.passing):
                break
            before = now
        else:
            self.lines.append("not settled")
        for queue, state in zip(self.queues, before[0]):
            if self.seen.get(f"queue {queue}", "absent") != state:
                self.seen[f"queue {queue}"] = state
                self.lines.append(self.numbered(f"queue {queue}: {state}"))

    def clients(self):
        return [f"{name}{number}" for name, connection in sorted(self.connections.items()) if connection.open
                for number in sorted(connection.channels)]

    def barriers(self, connection):
        return sum(event[0] == "exchange.declare-ok" for events in connection.events.values() for event in events)

    def returns(self):
        """Returns the number of channels that have ended in this step and held messages."""
        ended = 0
        for name, connection in self.connections.items():
            for number, events in connection.events.items():
                if any(method.split(".")[-1] in ("close", "close-ok") for method, _ in events):
                    ended += sum(bool(held) for client, held in self.held.items() if client[0] == name and number in (0, int(client[1:])))
        return ended

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
                    if method == "connection.close":
                        self.note_end(name)
                    if method in ("basic.deliver", "basic.get-ok") and not self.no_ack(client, method, values):
                        self.held.setdefault(client, []).append(values["delivery_tag"])
                        queue = self.consumers.get(client, {}).get(values.get("consumer_tag", "get"))
                        self.origins.setdefault(client, {})[values["delivery_tag"]] = queue
                    if method in ("basic.ack", "basic.nack"):
                        first = max(self.settled(client), default=0) + 1
                        many = range(first, values["delivery_tag"] + 1) if values["multiple"] else [values["delivery_tag"]]
                        (acks if method == "basic.ack" else nacks).extend(many)
                        self.settled(client).update(many)
                        upto, single = self.seen.get(f"{client} confirmed", (0, ()))
                        self.seen[f"{client} confirmed"] = (upto, tuple({*single, *many}))
                        continue
                    if "body" in values and method != "basic.return":
                        self.keep(client, values)
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

    def keep(self, client, values):
        """Keeps a message, to answer it or to publish it again."""
        properties = copy.deepcopy(values["properties"])
        if properties.get("reply_to", "").startswith(REPLIES + "."):
            self.address = properties["reply_to"]
        if "headers" in properties:
            properties["headers"] = without_last_death(properties["headers"])
        self.latest[client] = properties, values["body"]

    def shown(self, method, values):
        """Returns an event's fields without those that brokers are free to choose (FREEDOMS)."""
        values = {key: value for key, value in values.items() if not key.startswith("reserved")}
        if method in ("channel.close", "connection.close"):
            return f"{values['reply_code']} {values['class_id']}.{values['method_id']}"
        if method == "basic.return":
            values.pop("reply_text")
        if len(values.get("body", "")) > SHOWN:
            body = values["body"]
            values["body"] = f"{body[:8]}, {len(body)} bytes, {zlib.crc32(body.encode()):x}"
        if "headers" in values.get("properties", {}):
            headers = without_last_death(copy.deepcopy(values["properties"]["headers"]))
            deaths = headers.get("x-death")
            for death in deaths if isinstance(deaths, list) else []:
                if isinstance(death, dict) and isinstance(death.get("time"), int):
                    death["time"] = 0
            values["properties"] = {**values["properties"], "headers": headers}
        return self.numbered(str(ordered(values)))

    def numbered(self, text):
        """Numbers the names that the broker has generated in the order of their appearance."""
        return GENERATED.sub(lambda name: self.names.setdefault(name[0], f"generated-{len(self.names) + 1}"), text)

    def close(self):
        """Closes the connections, and deletes what the sequence has declared."""
        for connection in self.connections.values():
            if connection.open:
                connection.call(0, "connection.close", reply_code=200)
                connection.drop()
        for method, names in (("queue.delete", self.queues), ("exchange.delete", self.exchanges)):
            field = method.split(".")[0]
            for name in names:
                if not name or name.startswith("amq.") and not GENERATED.match(name):
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
