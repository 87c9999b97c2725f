"""Sequences of the fixture that are written by hand: the lives of messages that random sequences
seldom follow to their end."""

from differential.player import SHORT


def declare(queue, **arguments):
    return ["a1", "queue.declare", {"queue": queue, "arguments": {"x-" + key.replace("_", "-"): value for key, value in arguments.items()}}]


def publish(key, body, exchange="", **properties):
    return ["a1", "basic.publish", {"exchange": exchange, "routing_key": key, "properties": properties, "body": body}]


def get(queue, client="a1"):
    return [client, "basic.get", {"queue": queue, "no_ack": True}]


def letters(queue, **more):
    return {"dead_letter_exchange": "", "dead_letter_routing_key": queue, **more}


REJECT = ["a1", "basic.reject", {"which": "first"}]
HOLD = ["a1", "basic.get", {"queue": "q1"}]
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
]
