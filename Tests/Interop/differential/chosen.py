"""Sequences of the fixture that are written by hand: the lives of messages that random sequences
seldom follow to their end."""

from differential.grammar import BINARY, LONG
from differential.player import REPLIES, SHORT


def declare(queue, **arguments):
    return ["a1", "queue.declare", {"queue": queue, "arguments": {"x-" + key.replace("_", "-"): value for key, value in arguments.items()}}]


def publish(key, body, exchange="", **properties):
    return ["a1", "basic.publish", {"exchange": exchange, "routing_key": key, "properties": properties, "body": body}]


def get(queue, client="a1"):
    return [client, "basic.get", {"queue": queue, "no_ack": True}]


def consume(queue, tag, client="a1", no_ack=True, **arguments):
    return [client, "basic.consume", {"queue": queue, "consumer_tag": tag, "no_ack": no_ack,
                                      "arguments": {"x-" + key: value for key, value in arguments.items()}}]


def exchange(name, kind, **fields):
    return ["a1", "exchange.declare", {"exchange": name, "type": kind, **fields}]


def bind(queue, source, key="", **arguments):
    return ["a1", "queue.bind", {"queue": queue, "exchange": source, "routing_key": key, "arguments": arguments}]


def letters(queue, **more):
    return {"dead_letter_exchange": "", "dead_letter_routing_key": queue, **more}


def qos(count):
    return ["a1", "basic.qos", {"prefetch_count": count, "global": True}]


ACK = ["a1", "basic.ack", {"which": "first"}]
REJECT = ["a1", "basic.reject", {"which": "first"}]
HOLD = ["a1", "basic.get", {"queue": "q1"}]
NACK_ALL = {"which": "all", "multiple": True, "requeue": True}
# One letter in two forms.
COMPOSED, DECOMPOSED = "\u00e9", "e\u0301"
WAIT = ["a1", "wait", {}]
CONFIRM = ["a1", "confirm.select", {}]

CHOSEN = [
    # Messages expire into another queue, by the queue's time and by their own.
    [declare("q1", **letters("q2", message_ttl=SHORT)), declare("q2"), publish("q1", "m1"), publish("q1", "m2", expiration="0"), WAIT, get("q2"), get("q2")],
    [declare("q1", **letters("q2")), declare("q2"), publish("q1", "m1", expiration=str(SHORT), priority=3), WAIT, get("q2"), get("q2")],
    # A full queue drops its oldest message into another.
    [declare("q1", **letters("q2", max_length=1)), declare("q2"), publish("q1", "m1"), publish("q1", "m2"), publish("q1", "m3"), get("q2"), get("q2"), get("q1")],
    [declare("q1", **letters("q2", max_length_bytes=4)), declare("q2"), publish("q1", "m1"), publish("q1", "m2"), publish("q1", "m3"), get("q2"), get("q2")],
    # A full queue rejects.
    [declare("q1", max_length=1, overflow="reject-publish"), CONFIRM, publish("q1", "m1"), publish("q1", "m2"), get("q1"), publish("q1", "m3")],
    [declare("q1", **letters("q2", max_length=1, overflow="reject-publish-dlx")), declare("q2"), CONFIRM, publish("q1", "m1"), publish("q1", "m2"), get("q2"), get("q2")],
    # A rejected message goes round.
    [declare("q1", **letters("q2")), declare("q2", **letters("q1", message_ttl=SHORT)), publish("q1", "m1"), HOLD, REJECT, WAIT, HOLD, REJECT, WAIT, get("q1")],
    # An expired message does not go round.
    [declare("q1", **letters("q2", message_ttl=SHORT)), declare("q2", **letters("q1", message_ttl=SHORT)), publish("q1", "m1"), WAIT, WAIT, get("q1"), get("q2")],
    # A dead letter with several keys, and one that keeps its own.
    [declare("q1", dead_letter_exchange="amq.fanout"), declare("q2"), ["a1", "queue.bind", {"queue": "q2", "exchange": "amq.fanout", "routing_key": "k"}],
     publish("q1", "m1", headers={"CC": ["q3"], "BCC": ["k"]}), HOLD, REJECT, get("q2")],
    # Priorities.
    [declare("q1", max_priority=3), publish("q1", "m1"), publish("q1", "m2", priority=2), publish("q1", "m3", priority=9), publish("q1", "m4", priority=2),
     get("q1"), get("q1"), get("q1"), get("q1")],
    # A transaction that is committed, and one that is rolled back.
    [declare("q1"), ["a1", "tx.select", {}], publish("q1", "m1"), ["a1", "tx.commit", {}], HOLD, ["a1", "basic.ack", {"which": "first"}], publish("q1", "m2"),
     ["a1", "tx.rollback", {}], ["a1", "tx.commit", {}], get("q1", "b1")],
    # Headers.
    [declare("q1"), ["a1", "queue.bind", {"queue": "q1", "exchange": "amq.headers", "routing_key": "", "arguments": {"x-match": "all", "h": 1, "g": "x"}}],
     publish("", "m1", "amq.headers", headers={"h": 1, "g": "x"}), publish("", "m2", "amq.headers", headers={"h": 1}), get("q1"), get("q1")],
    # A direct reply, and one to a client that has gone.
    [declare("q1"), consume(REPLIES, "r"), publish("q1", "m1", reply_to=REPLIES), get("q1", "b1"), ["b1", "reply", {"body": "m2"}],
     ["a1", "drop", {}], ["b1", "reply", {"body": "m3", "mandatory": True}], ["b1", "wait", {}]],
    # A reply has the tag of the next delivery. The tag of its consumer may be used again. A reply is
    # returned if it is mandatory, though it arrives.
    [declare("q1"), consume(REPLIES, "r"), consume("q1", "r", no_ack=False), publish("q1", "m1", reply_to=REPLIES), ["b1", "reply", {"body": "m2", "mandatory": True}],
     ["b1", "reply", {"body": "m3"}], publish("q1", "m4", reply_to=REPLIES), ["a1", "basic.ack", {"which": "last", "multiple": True}],
     consume(REPLIES, "r"), ["a1", "basic.cancel", {"consumer_tag": "r"}]],
    [declare("q1"), consume("q1", "c1"), consume(REPLIES, "c1")],
    # "" stands for the latest queue of the channel. Without one, that is the first error.
    [declare("q1"), consume("", "c1"), publish("q1", "m1"), ["b1", "basic.consume", {"queue": "q1", "consumer_tag": "c1"}],
     ["b1", "basic.consume", {"queue": "", "consumer_tag": "c1"}], ["b1", "queue.bind", {"queue": "", "exchange": "none"}]],
    # A limit that consumers share: messages that were got are not counted later, and always if they
    # were there before; consumers that do not acknowledge wait, too; another kind of limit ends it.
    [declare("q1"), qos(1), publish("q1", "m1"), publish("q1", "m2"), publish("q1", "m3"), HOLD, consume("q1", "c1", no_ack=False), ACK, ACK],
    [declare("q1"), publish("q1", "m1"), publish("q1", "m2"), publish("q1", "m3"), publish("q1", "m4"), HOLD, qos(1), consume("q1", "c1", no_ack=False), ACK, qos(2), ACK,
     qos(0), ACK],
    [declare("q1"), declare("q2"), consume("q1", "c1", no_ack=False), publish("q1", "m1"), qos(1), consume("q2", "c2"), publish("q2", "m2"), ACK, publish("q1", "m3"),
     publish("q2", "m4"), ["a1", "basic.qos", {"prefetch_count": 3}], publish("q1", "m5"), ["a1", "basic.recover", {"requeue": True}]],
    # A binding that is not there is no error, also of a queue that is exclusive to another client.
    [["a1", "queue.declare", {"queue": "q1", "exclusive": True}], bind("q1", "amq.fanout", "k"),
     ["b1", "queue.unbind", {"queue": "q1", "exchange": "amq.fanout", "routing_key": "none"}],
     ["b1", "queue.unbind", {"queue": "q1", "exchange": "amq.fanout", "routing_key": "k"}]],
    # Direct replies need a consumer, and it has no acknowledgements.
    [declare("q1"), publish("q1", "m1", reply_to=REPLIES), consume(REPLIES, "r", no_ack=False), get("q1")],
    # Priorities of consumers.
    [declare("q1"), consume("q1", "c1", "a1"), consume("q1", "c2", "b1", priority=5), publish("q1", "m1"), publish("q1", "m2"),
     ["b1", "basic.cancel", {"consumer_tag": "c2"}], publish("q1", "m3")],
    # One consumer at a time.
    [declare("q1", single_active_consumer=True), consume("q1", "c1", no_ack=False), consume("q1", "c2", "b1", no_ack=False), publish("q1", "m1"),
     ["a1", "basic.cancel", {"consumer_tag": "c1"}], publish("q1", "m2"), ["a1", "drop", {}], publish("q1", "m3")],
    # A queue that nobody uses, and one that has a consumer.
    [declare("q1", expires=SHORT), declare("q2", expires=SHORT), consume("q2", "c1", "b1"), WAIT, ["b2", "queue.declare", {"queue": "q1", "passive": True}],
     ["b3", "queue.declare", {"queue": "q2", "passive": True}]],
    # Bindings between exchanges, also in a cycle.
    [declare("q1"), exchange("x1", "topic"), exchange("x2", "fanout"), bind("q1", "x2"),
     ["a1", "exchange.bind", {"destination": "x2", "source": "x1", "routing_key": "a.*"}],
     ["a1", "exchange.bind", {"destination": "x1", "source": "x2", "routing_key": "#"}],
     publish("a.b", "m1", "x1"), publish("b", "m2", "x1"), get("q1"), get("q1"),
     ["a1", "exchange.unbind", {"destination": "x2", "source": "x1", "routing_key": "a.*"}], publish("a.b", "m3", "x1"), get("q1")],
    # Alternate exchanges, and an internal one.
    [declare("q1"), exchange("x2", "fanout", internal=True), exchange("x1", "direct", arguments={"alternate-exchange": "x2"}), bind("q1", "x2"),
     publish("nowhere", "m1", "x1"), get("q1"), publish("", "m2", "x2")],
    # Copies by the headers CC and BCC.
    [declare("q1"), declare("q2"), declare("q3"), publish("q1", "m1", headers={"CC": ["q2"], "BCC": ["q3"], "h": 1}), get("q1"), get("q2"), get("q3"),
     publish("q1", "m2", headers={"CC": "q2"})],
    # A message that has died is published again as it came, by clients that keep types and that do not.
    [declare("q1", **letters("q2")), declare("q2"), publish("q1", "m1"), HOLD, REJECT, get("q2"), ["a1", "again", {"exchange": "", "routing_key": "q1"}], HOLD,
     REJECT, get("q2"), ["a1", "again", {"exchange": "", "routing_key": "q1", "loose": True}], HOLD, REJECT, get("q2")],
    # A queue is deleted under its consumers; those of connection c are not told.
    [declare("q1"), consume("q1", "c1"), consume("q1", "c2", "c1"), ["b1", "queue.delete", {"queue": "q1"}]],
    # A channel is told of its consumers in the order of their tags.
    [declare("q1"), consume("q1", "c2"), consume("q1", "c1"), ["b1", "queue.delete", {"queue": "q1"}]],
    # A message that was held expires when it returns.
    [declare("q1", **letters("q2")), declare("q2"), publish("q1", "m1", expiration=str(SHORT)), HOLD, WAIT,
     ["a1", "basic.nack", {"which": "first", "requeue": True}], get("q2")],
    # What a lost connection has held returns to its place.
    [declare("q1"), publish("q1", "m1"), publish("q1", "m2"), ["b1", "basic.get", {"queue": "q1"}], ["b1", "drop", {}], get("q1"), get("q1")],
    # Deliveries that are settled together come back by consumer tag, and those of gets one by one.
    # Those of several queues come by the names of the queues, but each queue is a process, and
    # sometimes a later one is faster.
    [declare("q1"), ["a1", "basic.qos", {"prefetch_count": 1}], consume("q1", "c2", no_ack=False), consume("q1", "c1", no_ack=False), publish("q1", "m1"),
     publish("q1", "m2"), ["a1", "basic.nack", NACK_ALL], ["a1", "basic.recover", {"requeue": True}]],
    [declare("q1"), publish("q1", "m1"), publish("q1", "m2"), HOLD, HOLD, ["a1", "basic.nack", {"which": "first", "requeue": True}], HOLD,
     consume("q1", "c1", "b1"), ["a1", "basic.nack", NACK_ALL]],
    [declare("q1", **letters("q2")), declare("q2"), ["a1", "basic.qos", {"prefetch_count": 1}], consume("q1", "c2", no_ack=False),
     consume("q1", "c1", no_ack=False), publish("q1", "m1"), publish("q1", "m2"), ["a1", "basic.nack", {**NACK_ALL, "requeue": False}], get("q2"), get("q2")],
    # Settlements of one kind in a transaction are one at its commit.
    [declare("q1", **letters("q2")), declare("q2"), ["a1", "basic.qos", {"prefetch_count": 1}], consume("q1", "c2", no_ack=False),
     consume("q1", "c1", no_ack=False), publish("q1", "m1"), publish("q1", "m2"), ["a1", "tx.select", {}], REJECT, REJECT, ["a1", "tx.commit", {}],
     get("q2"), get("q2")],
    # A lazy queue forgets the time to live that a publisher has given, but not of messages that it refuses.
    [declare("q1", **letters("q2", queue_mode="lazy")), declare("q2"), publish("q1", "m1", expiration="0"), get("q2"), publish("q1", "m2", expiration=str(LONG)),
     HOLD, REJECT, get("q2")],
    [declare("q1", **letters("q2", queue_mode="lazy", max_length=0, overflow="reject-publish-dlx")), declare("q2"), publish("q1", "m1", expiration=str(LONG)),
     get("q2")],
    # As an alternate exchange, the default exchange has no queues.
    [declare("q1"), exchange("x1", "direct", arguments={"alternate-exchange": ""}), publish("q1", "m1", "x1"), get("q1")],
    # Names are bytes, whatever Unicode makes of them, and words of keys end at the byte of the dot.
    [declare(COMPOSED), declare(DECOMPOSED), publish(DECOMPOSED, "m1"), get(COMPOSED), get(DECOMPOSED), exchange("x1", "direct"), bind(COMPOSED, "x1", COMPOSED),
     publish(DECOMPOSED, "m2", "x1"), publish(COMPOSED, "m3", "x1"), get(COMPOSED), consume(COMPOSED, COMPOSED), consume(COMPOSED, DECOMPOSED)],
    [declare("q1"), declare("q2"), exchange("x1", "topic"), bind("q1", "x1", "*"), bind("q2", "x1", "*.*"), publish("a.\u0301b", "m1", "x1"), get("q1"), get("q2")],
    [declare("q1"), exchange("x1", "headers"), bind("q1", "x1", **{COMPOSED: 1}), publish("", "m1", "x1", headers={DECOMPOSED: 1}),
     publish("", "m2", "x1", headers={COMPOSED: 1}), get("q1"), get("q1")],
    # Properties, and the names and values of headers, have any bytes, also in a dead letter. Those that the broker reads are refused.
    [declare("q1", **letters("q2")), declare("q2"),
     publish("q1", "m1", content_type=BINARY, content_encoding=BINARY, correlation_id=BINARY, reply_to=BINARY, message_id=BINARY, type=BINARY,
             app_id=BINARY, cluster_id=BINARY, headers={BINARY: BINARY, "h": [BINARY, {BINARY: 1}]}),
     HOLD, REJECT, get("q2")],
    [declare("q1"), publish("q1", "m1", expiration=BINARY), publish("q1", "m2", user_id=BINARY), publish("q1", "m3", headers={"CC": BINARY}), get("q1")],
    [["a1", "queue.declare", {"queue": "q1", "arguments": {BINARY: BINARY}}], exchange("x1", "headers", arguments={BINARY: 1}), bind("q1", "x1", **{BINARY: BINARY}),
     publish("", "m1", "x1", headers={BINARY: BINARY}), publish("", "m2", "x1", headers={BINARY: "b"}), get("q1"), get("q1"),
     ["a1", "queue.unbind", {"queue": "q1", "exchange": "x1", "routing_key": "", "arguments": {BINARY: BINARY}}],
     publish("", "m3", "x1", headers={BINARY: BINARY}), get("q1")],
    # Methods that declare, delete and bind remove line breaks from names. Others find no such name.
    [declare("q\n1"), ["a1", "queue.declare", {"queue": "q\r\n1", "passive": True}], publish("q\n1", "m1"), publish("q1", "m2"), get("q1"), get("q\n1")],
    [declare("q1"), exchange("x\r1", "direct"), bind("q\n1", "x\n1", "k\nk"), publish("k\nk", "m1", "x1"), publish("kk", "m2", "x1"), get("q1"),
     ["a1", "queue.unbind", {"queue": "q\r1", "exchange": "x\r1", "routing_key": "k\nk"}], publish("k\nk", "m3", "x1"), get("q1"),
     exchange("x2", "fanout"), ["a1", "exchange.bind", {"destination": "x\n2", "source": "x\r1", "routing_key": "k"}], bind("q1", "x2"), publish("k", "m4", "x1"),
     get("q1"), ["a1", "exchange.unbind", {"destination": "x\n2", "source": "x\r1", "routing_key": "k"}], publish("k", "m5", "x1"), get("q1"),
     ["a1", "queue.delete", {"queue": "q\n1"}], ["a1", "exchange.delete", {"exchange": "x\n1"}], publish("k", "m6", "x1")],
    [["a1", "queue.declare", {"queue": "\n", "arguments": {}}], declare("am\nq.x"), exchange("\n", "direct"), exchange("a\rmq.x", "direct"),
     exchange("a\rmq.direct", "direct", durable=True), ["a1", "exchange.delete", {"exchange": "a\rmq.direct"}], declare("q1"), consume("q\n1", "c1"),
     ["a1", "queue.purge", {"queue": "q\n1"}], publish("k", "m1", "amq\n.direct")],
]
