"""kombu: its simple queues, all kinds of exchange, priorities and a reconnect."""

import socket
import time

import kombu
import pytest


def drain(connection, seconds=5):
    try:
        connection.drain_events(timeout=seconds)
        return True
    except socket.timeout:
        return False


def test_simple_queue(broker):
    with kombu.Connection(broker) as connection:
        queue = connection.SimpleQueue("kombu-simple")
        for number in range(10):
            queue.put({"number": number}, compression="zlib")
        heard = []
        for _ in range(10):
            message = queue.get(timeout=5)
            heard.append(message.payload["number"])
            message.ack()
        assert heard == list(range(10))
        with pytest.raises(queue.Empty):
            queue.get(timeout=0.1)
        queue.close()
        connection.default_channel.queue_delete("kombu-simple")


@pytest.mark.parametrize("kind", ["direct", "fanout", "topic", "headers"])
def test_exchanges(broker, kind):
    exchange = kombu.Exchange(f"kombu-{kind}", kind, durable=False, auto_delete=True)
    arguments = {"x-match": "all", "colour": "red"} if kind == "headers" else None
    queue = kombu.Queue("", exchange, routing_key="a.*" if kind == "topic" else "a", exclusive=True, binding_arguments=arguments)
    heard = []
    with kombu.Connection(broker) as connection, connection.channel() as channel:
        with connection.Consumer(queue, callbacks=[lambda body, message: (heard.append(body), message.ack())], channel=channel):
            producer = connection.Producer(channel)
            producer.publish("hello", exchange=exchange, routing_key="a.b" if kind == "topic" else "a", headers={"colour": "red"})
            while not heard and drain(connection):
                pass
    assert heard == ["hello"]


def test_priorities_and_expiry(broker):
    queue = kombu.Queue("kombu-priority", max_priority=5, expires=60, message_ttl=60, max_length=100)
    with kombu.Connection(broker) as connection:
        bound = queue(connection.default_channel)
        bound.declare()
        producer = connection.Producer()
        for priority in (1, 5, 3):
            producer.publish(priority, routing_key="kombu-priority", priority=priority)
        heard = []
        end = time.monotonic() + 5
        while len(heard) < 3 and time.monotonic() < end:
            if message := bound.get(no_ack=True):
                heard.append(message.payload)
        assert heard == [5, 3, 1]
        bound.delete()


def test_a_reconnect(broker):
    with kombu.Connection(broker) as connection:
        connection.ensure_connection(max_retries=3)
        queue = kombu.Queue("kombu-again", durable=True)(connection.default_channel)
        queue.declare()
        connection.transport.close_connection(connection.connection)
        publish = connection.ensure(connection.Producer(), connection.Producer().publish, max_retries=3)
        publish("again", routing_key="kombu-again", declare=[queue])
    with kombu.Connection(broker) as connection:
        queue = kombu.Queue("kombu-again", durable=True)(connection.default_channel)
        assert queue.get(no_ack=True).payload == "again"
        queue.delete()
