"""Draws sequences of steps. Each draws from some of the features only, so that those meet often."""

from differential.player import DECLARING, REPLIES, SHORT

LONG = 10**8
# How many steps there are at most between two waits once a sequence uses short times.
TIMED = 5
QUEUES, EXCHANGES, KEYS = ["q1", "q2", "q3"], ["x1", "x2"], ["q1", "q2", "k", "a.b", "a.c"]
PATTERNS = [*KEYS, "#", "a.*", "*", "a.#", "#.b"]
# One letter in two forms, which are two names. Some sequences have them in place of plain ones.
LOOKALIKES = {"q1": "\u00e9", "q2": "e\u0301", "x1": "\u00e9", "x2": "e\u0301", "k": "e\u0301", "c1": "\u00e9", "c2": "e\u0301"}
# Bytes that are not UTF-8 (codec.text), and the properties that may have them.
BINARY = "\udcff\udc80b"
BINARY_PROPERTIES = ["content_type", "content_encoding", "correlation_id", "reply_to", "message_id", "type", "app_id", "cluster_id"]
CLIENTS = ["a1", "a1", "a1", "a1", "a1", "a1", "a2", "a2", "b1", "b1", "c1"]

# The arguments of a queue: values that are valid, and values that are refused.
QUEUE_ARGUMENTS = {
    "x-message-ttl": ([0, SHORT, SHORT, LONG], [-1, "x"]),
    "x-expires": ([SHORT, LONG], [0, -1, "x"]),
    "x-max-length": ([0, 1, 2, 3], [-1, "x"]),
    "x-max-length-bytes": ([0, 3, 5, 8], [-1, "x"]),
    "x-overflow": (["drop-head", "reject-publish", "reject-publish-dlx"], ["none", 1]),
    "x-dead-letter-exchange": (["", "", "x1", "x2", "amq.fanout"], [5]),
    "x-dead-letter-routing-key": (["q1", "q2", "q3", "k"], [5]),
    "x-max-priority": ([1, 3, 10], [0, -1, 256, "x"]),
    "x-single-active-consumer": ([True, True, False], [1]),
    "x-queue-mode": (["lazy", "default"], ["none", 1]),
    "x-queue-type": (["classic"], ["none", 1]),
    "x-unknown": ([1], ["x"]),
}
HEADERS = [{"h": 1}, {"h": "1"}, {"h": True}, {"h": 1, "g": "x"}, {"g": "x"}, {"CC": ["q2"]}, {"BCC": ["q3"]}, {"CC": "q1"},
           {"CC": ["q2"], "BCC": ["k"]}, {"h": 2**40, "g": [1, "x", None, {"a": True}]}, {"h": 1.5, "g": None}]
MATCHES = [{"x-match": "all", "h": 1, "g": "x"}, {"x-match": "any", "h": 1, "g": "x"}, {"h": 1}, {"x-match": "none"}, {},
           {"x-match": "all", "g": None}]
BINARY_HEADERS = [{BINARY: BINARY}, {BINARY: 1, "h": BINARY}, {"h": [BINARY, {BINARY: BINARY}]}]
BINARY_MATCHES = [{BINARY: BINARY}, {"x-match": "any", BINARY: 1, "h": BINARY}]


def with_waits(steps):
    """Adds waits, so that no short time can end between two of them."""
    timed, since = [], 0
    for step in steps:
        short = any(str(SHORT) in repr(earlier) for earlier in [*timed, step])
        since = since + 1 if short and step[1] != "wait" else 0
        if since > TIMED:
            timed.append([step[0], "wait", {}])
            since = 1
        timed.append(step)
    return timed


def renamed(value):
    """Returns a value with lookalikes in place of plain names."""
    if isinstance(value, dict):
        return {key: renamed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [renamed(item) for item in value]
    return LOOKALIKES.get(value, value) if isinstance(value, str) else value


class Grammar:
    """`without` names features that are not drawn: methods, arguments and properties."""

    def __init__(self, draw, without=()):
        self.draw, self.without, self.number = draw, without, 0
        kept = [key for key in QUEUE_ARGUMENTS if key not in without and (key != "x-unknown" or draw.random() < 0.2)]
        self.arguments = draw.sample(kept, min(len(kept), draw.choice([0, 1, 2, 3, 4])))
        if self.arguments and draw.random() < 0.5:
            # Most other arguments let messages die.
            letters = ("x-dead-letter-exchange", "x-dead-letter-routing-key")
            self.arguments += [key for key in letters if key in kept and key not in self.arguments]
        self.invalid = draw.random() < 0.15 and "invalid" not in without
        features = ["headers", "priority", "expiration", "mandatory", "persistent", "copies"]
        self.features = {f for f in features if f not in without and draw.random() < 0.35}
        features = ["replies", "again", "unnamed", "no_wait", "sizes", "binary"]
        self.features |= {f for f in features if f not in without and draw.random() < 0.2}
        # FREEDOMS: a limit that consumers of several queues share. Then there is one such queue.
        self.shared = draw.choice(QUEUES) if draw.random() < 0.3 and "global" not in without else None
        # The first declaration of each name. Most later ones repeat it.
        self.declared = {}
        self.weights = self.choose()

    def choose(self):
        base = {"queue.declare": 3, "basic.publish": 24, "basic.get": 8, "queue.bind": 4, "exchange.declare": 2}
        more = {"basic.consume": 8, "basic.cancel": 2, "basic.ack": 6, "basic.nack": 5, "basic.reject": 4, "basic.qos": 3, "basic.recover": 2,
                "queue.purge": 2, "queue.delete": 2, "queue.unbind": 2, "exchange.delete": 2, "exchange.bind": 3, "exchange.unbind": 2,
                "confirm.select": 2, "tx.select": 2, "tx.commit": 3, "tx.rollback": 2, "channel.close": 1, "connection.close": 1,
                "drop": 1, "wait": 3, "channel.flow": 1}
        for name, weight in more.items():
            if self.draw.random() < 0.6:
                base[name] = weight
        base.update({"reply": 8} if "replies" in self.features else {})
        base.update({"again": 6} if "again" in self.features else {})
        if "tx.select" not in base:
            base.pop("tx.commit", None), base.pop("tx.rollback", None)
        return {name: weight for name, weight in base.items() if name not in self.without}

    def steps(self, count):
        steps = self.topology()
        while len(steps) < count:
            name = self.draw.choices(list(self.weights), list(self.weights.values()))[0]
            fields = getattr(self, name.replace(".", "_"), dict)()
            steps.append([self.draw.choice(CLIENTS), name, fields])
        if "lookalikes" not in self.without and self.draw.random() < 0.1:
            steps = [[client, name, renamed(fields)] for client, name, fields in steps]
        if "line_breaks" not in self.without and self.draw.random() < 0.1:
            steps = [self.broken(*step) for step in steps]
        return with_waits(steps)

    def broken(self, client, method, fields):
        """Returns a step, sometimes with line breaks in its names. Few methods remove them."""
        chance = 0.3 if method in DECLARING else 0.03
        names = [key for key in ("queue", "exchange", "source", "destination") if fields.get(key) and self.draw.random() < chance]
        return [client, method, {**fields, **{key: fields[key][:1] + self.draw.choice(["\n", "\r", "\r\n"]) + fields[key][1:] for key in names}}]

    def topology(self):
        """Returns the steps that a sequence starts with, so that most of the others find a queue."""
        steps = [["a1", "queue.declare", self.queue_declare(name)] for name in self.draw.sample(QUEUES, self.draw.choice([1, 2, 2, 3]))]
        for name in self.draw.sample(EXCHANGES, self.draw.choice([0, 1, 2])):
            steps.append(["a1", "exchange.declare", self.exchange_declare(name)])
            steps += [["a1", "queue.bind", {**self.queue_bind(), "exchange": name}] for _ in range(self.draw.choice([0, 1, 2]))]
        return steps

    def no_wait(self):
        return self.bits("no_wait", chance=0.3) if "no_wait" in self.features else {}

    def queue_name(self):
        """A queue; "" stands for the latest that the channel has declared."""
        return "" if "unnamed" in self.features and self.draw.random() < 0.3 else self.draw.choice(QUEUES)

    def bits(self, *names, chance=0.15):
        return {name: True for name in names if self.draw.random() < chance and name not in self.without}

    def queue_declare(self, name=None):
        name = name or self.queue_name()
        if name in self.declared and self.draw.random() < 0.6:
            return {**self.declared[name], **self.bits("passive"), **(self.no_wait() if name else {})}
        arguments = {}
        for key in self.arguments:
            if self.draw.random() < 0.7:
                good, bad = QUEUE_ARGUMENTS[key]
                arguments[key] = self.draw.choice(bad if self.invalid and self.draw.random() < 0.3 else good)
        if "x-dead-letter-routing-key" in arguments:
            arguments.setdefault("x-dead-letter-exchange", "")
        fields = {"queue": name, **self.bits("durable", chance=0.3), **self.bits("exclusive", "auto_delete", chance=0.07), "arguments": arguments}
        if name:
            self.declared.setdefault(name, fields)
        return fields

    def exchange_declare(self, name=None):
        name = name or self.draw.choice(EXCHANGES)
        if name in self.declared and self.draw.random() < 0.6:
            return {**self.declared[name], **self.bits("passive"), **self.no_wait()}
        kinds = ["direct", "fanout", "topic"] + (["headers"] * 2 if "headers" in self.features else []) + (["none"] if self.invalid else [])
        fields = {"exchange": name, "type": self.draw.choice(kinds), **self.bits("durable", "auto_delete", chance=0.1), **self.bits("internal", chance=0.05)}
        if "alternate-exchange" not in self.without and self.draw.random() < 0.15:
            fields["arguments"] = {"alternate-exchange": self.draw.choice([*EXCHANGES, "amq.fanout"])}
        self.declared.setdefault(name, fields)
        return fields

    def exchange(self):
        return self.draw.choice([*EXCHANGES, *EXCHANGES, "amq.fanout", "amq.direct", "amq.topic"] + (["amq.headers"] if "headers" in self.features else []))

    def queue_bind(self):
        arguments = self.match() if "headers" in self.features else {}
        return {"queue": self.queue_name(), "exchange": self.exchange(), "routing_key": self.draw.choice(PATTERNS), "arguments": arguments}

    def match(self):
        return self.draw.choice(MATCHES + (BINARY_MATCHES if "binary" in self.features else []))

    def queue_unbind(self):
        return self.queue_bind()

    def exchange_bind(self):
        arguments = {"arguments": self.match()} if "headers" in self.features else {}
        return {"destination": self.exchange(), "source": self.exchange(), "routing_key": self.draw.choice(PATTERNS), **arguments}

    exchange_unbind = exchange_bind

    def exchange_delete(self):
        return {"exchange": self.draw.choice(EXCHANGES), **self.bits("if_unused", chance=0.4)}

    def basic_publish(self):
        self.number += 1
        properties = {}
        if "persistent" in self.features and self.draw.random() < 0.5:
            properties["delivery_mode"] = 2
        if "priority" in self.features:
            properties["priority"] = self.draw.choice([0, 1, 2, 3, 9, 255])
        if "expiration" in self.features and self.draw.random() < 0.5:
            # FREEDOMS: the lifetime of a message that overtakes others.
            times = [str(LONG)] if "x-max-priority" in self.arguments else ["0", str(SHORT), str(LONG)]
            properties["expiration"] = self.draw.choice(times + (["x", "-1", ""] if self.invalid else []))
        if "replies" in self.features and self.draw.random() < 0.5:
            properties["reply_to"] = REPLIES
        if self.features & {"headers", "copies"} and self.draw.random() < 0.6:
            properties["headers"] = self.draw.choice([h for h in HEADERS if "copies" in self.features or not {"CC", "BCC"} & set(h)])
        if "binary" in self.features and self.draw.random() < 0.5:
            properties[self.draw.choice(BINARY_PROPERTIES + ["user_id", "expiration"] * self.invalid)] = BINARY
            if self.draw.random() < 0.5:
                properties["headers"] = {**properties.get("headers", {}), **self.draw.choice(BINARY_HEADERS)}
        to_queue = self.draw.random() < 0.6
        return {"exchange": "" if to_queue else self.exchange(), "routing_key": self.draw.choice(QUEUES if to_queue else KEYS),
                **self.published(), "properties": properties, "body": f"m{self.number}"}

    def published(self):
        """Fields of a publication of any kind."""
        fields = self.bits("mandatory", chance=0.5) if "mandatory" in self.features else {}
        if self.invalid:
            fields |= self.bits("immediate", chance=0.03)
        if "sizes" in self.features and self.draw.random() < 0.4:
            fields["more"] = self.draw.choice([1, 5, 4096, 131_072, 300_000])
        return fields

    def reply(self):
        self.number += 1
        return {**self.published(), "body": f"m{self.number}"}

    def again(self):
        to_queue = self.draw.random() < 0.7
        return {"exchange": "" if to_queue else self.exchange(), "routing_key": self.draw.choice(QUEUES if to_queue else KEYS),
                **self.published(), **self.bits("loose", chance=0.3)}

    def basic_get(self):
        return {"queue": self.queue_name(), **self.bits("no_ack", chance=0.4)}

    def basic_consume(self):
        if "replies" in self.features and self.draw.random() < 0.5:
            # Consumers of replies have to be without acknowledgements.
            return {"queue": REPLIES, "consumer_tag": self.draw.choice(["c1", "r"]), **self.bits("no_ack", chance=0.95)}
        arguments = {}
        if "x-priority" not in self.without and self.draw.random() < 0.2:
            arguments["x-priority"] = self.draw.choice([-1, 0, 5])
        return {"queue": self.shared or self.queue_name(), "consumer_tag": self.draw.choice(["c1", "c2", "c3"]), **self.bits("no_ack", chance=0.3),
                **self.bits("exclusive", chance=0.1), **self.bits("no_local", chance=0.05), **self.no_wait(), "arguments": arguments}

    def basic_cancel(self):
        return {"consumer_tag": self.draw.choice(["c1", "c2", "c3"] + ["r"] * ("replies" in self.features))}

    def which(self):
        return {"which": self.draw.choice(["first"] * 6 + ["last"] * 4 + ["unknown"] * self.invalid)}

    def basic_ack(self):
        return {"multiple": True, "which": "all"} if self.draw.random() < 0.1 else {**self.which(), **self.bits("multiple", chance=0.3)}

    def basic_nack(self):
        return {**self.basic_ack(), **self.bits("requeue", chance=0.5)}

    def basic_reject(self):
        return {**self.which(), **self.bits("requeue", chance=0.5)}

    def basic_qos(self):
        return {"prefetch_count": self.draw.choice([0, 1, 1, 2, 3]), **(self.bits("global", chance=0.5) if self.shared else {})}

    def basic_recover(self):
        return {"requeue": True} if "recover without requeue" in self.without or self.draw.random() < 0.8 else {}

    def queue_purge(self):
        return {"queue": self.queue_name()}

    def queue_delete(self):
        return {"queue": self.queue_name(), **self.bits("if_unused", "if_empty", chance=0.25)}

    def channel_flow(self):
        return {"active": True}
