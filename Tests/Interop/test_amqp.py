"""pika and aio-pika see the same behaviour of the embedded broker and of RabbitMQ."""

import asyncio
import threading
import time
import unittest

import aio_pika
import pika

import rabbit
from harness import Server

PERSISTENT = pika.BasicProperties(delivery_mode=2)


def connect(url):
    return pika.BlockingConnection(pika.URLParameters(url))


def pump(connection, seconds):
    """Handles events for some time. `process_data_events` alone returns after the first one."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        connection.process_data_events(left)


def fault(url, action):
    """Returns the error code of a refused action, and whether the channel or the connection was
    closed."""
    connection = connect(url)
    channel = connection.channel()
    try:
        action(channel)
        return "accepted"
    except pika.exceptions.ChannelClosedByBroker as error:
        return f"channel {error.reply_code}"
    except pika.exceptions.ConnectionClosedByBroker as error:
        return f"connection {error.reply_code}"
    finally:
        if connection.is_open:
            connection.close()


def topology(url, say):
    connection = connect(url)
    channel = connection.channel()
    for kind in ("direct", "fanout", "topic"):
        channel.exchange_declare(f"x.{kind}", kind, durable=True)
        channel.exchange_declare(f"x.{kind}", kind, passive=True)
    say("declared", channel.queue_declare("q", durable=True).method.message_count)
    say("again", channel.queue_declare("q", durable=True).method.queue)
    say("server-named", channel.queue_declare("", exclusive=True).method.queue.startswith("amq.gen-"))
    for key in ("a", "b"):
        channel.queue_bind("q", "x.direct", key)
    channel.queue_declare("t", durable=True)
    for pattern in ("*.red.#", "car.*"):
        channel.queue_bind("t", "x.topic", pattern)
    channel.queue_bind("t", "x.fanout")
    for exchange, key in (("x.direct", "a"), ("x.direct", "b"), ("x.direct", "c"), ("", "q"), ("x.topic", "car.red"),
                          ("x.topic", "bus.red.big.one"), ("x.topic", "bus.blue"), ("x.topic", "car.red.big"),
                          ("x.topic", "red"), ("x.fanout", "whatever")):
        channel.basic_publish(exchange, key, f"{exchange}:{key}".encode(), PERSISTENT)
    for queue in ("q", "t"):
        while True:
            method, properties, body = channel.basic_get(queue, auto_ack=True)
            if method is None:
                break
            say(queue, body.decode(), method.exchange, method.routing_key, method.redelivered, properties.delivery_mode)
    channel.queue_unbind("q", "x.direct", "a")
    channel.basic_publish("x.direct", "a", b"unbound")
    channel.basic_publish("", "q", b"one")
    channel.basic_publish("", "q", b"two")
    pump(connection, 0.2)
    say("purged", channel.queue_purge("q").method.message_count)
    channel.basic_publish("", "q", b"three")
    say("deleted", channel.queue_delete("q").method.message_count)
    say("deleted again", channel.queue_delete("q").method.message_count)
    channel.queue_delete("t")
    for kind in ("direct", "fanout", "topic"):
        channel.exchange_delete(f"x.{kind}")
    connection.close()


def refusals(url, say):
    keeper = connect(url)
    kept = keeper.channel()
    kept.queue_declare("mine", exclusive=True)
    kept.queue_declare("plain")
    kept.basic_consume("plain", lambda *_: None, exclusive=True)
    say("locked", fault(url, lambda c: c.queue_declare("mine", exclusive=True)))
    say("not there", fault(url, lambda c: c.queue_declare("nowhere", passive=True)))
    say("no exchange", fault(url, lambda c: c.exchange_declare("nowhere", passive=True)))
    say("another kind", fault(url, lambda c: c.exchange_declare("amq.direct", "fanout", durable=True)))
    say("reserved", fault(url, lambda c: c.queue_declare("amq.own")))
    say("not equal", fault(url, lambda c: c.queue_declare("plain", durable=True)))
    say("exclusive", fault(url, lambda c: c.basic_consume("plain", lambda *_: None)))
    say("in use", fault(url, lambda c: c.queue_delete("plain", if_unused=True)))
    say("default", fault(url, lambda c: c.queue_bind("plain", "", "k")))
    say("unknown tag", fault(url, lambda c: (c.basic_ack(77), pump(c.connection, 0.5))))
    say("consume nowhere", fault(url, lambda c: c.basic_consume("nowhere", lambda *_: None)))

    def publish_nowhere(channel):
        channel.confirm_delivery()
        channel.basic_publish("nowhere", "k", b"")
    say("publish nowhere", fault(url, publish_nowhere))
    say("immediate", fault(url, lambda c: (c._impl.basic_publish("", "plain", b""), c._impl._send_method(
        pika.spec.Basic.Publish(exchange="", routing_key="plain", immediate=True), (pika.BasicProperties(), b"")),
        pump(c.connection, 0.5))))
    for host in ("elsewhere", "%2felse"):
        try:
            connect(url.rstrip("/") + "/" + host)
            say("vhost", "accepted")
        except pika.exceptions.ConnectionClosedByBroker as error:
            say("vhost", error.reply_code)
        except pika.exceptions.AMQPConnectionError as error:
            say("vhost", "refused")
    try:
        connect(url.replace("guest:guest", "guest:wrong"))
        say("password", "accepted")
    except pika.exceptions.AMQPConnectionError as error:
        say("password", type(error).__name__)
    keeper.close()
    again = connect(url)
    say("exclusive is gone", fault(url, lambda c: c.queue_declare("mine", passive=True)))
    again.channel().queue_delete("plain")
    again.close()


def delivery(url, say):
    connection = connect(url)
    channel = connection.channel()
    channel.queue_declare("d", durable=True)
    channel.confirm_delivery()
    for number in range(6):
        channel.basic_publish("", "d", f"{number}".encode(), pika.BasicProperties(
            delivery_mode=2, message_id=f"m{number}", correlation_id="c", reply_to="r", type="t", app_id="a",
            content_type="text/plain", content_encoding="utf-8", priority=3, timestamp=1234567890,
            headers={"text": "ü", "number": 5, "big": 2**40, "yes": True, "list": [1, "x"], "table": {"a": None}}))
    try:
        channel.basic_publish("", "nowhere", b"back", mandatory=True)
    except pika.exceptions.UnroutableError as error:
        say("returned", error.messages[0].method.reply_code, error.messages[0].method.reply_text, error.messages[0].body)
    channel.basic_qos(prefetch_count=2)
    held = []
    tag = channel.basic_consume("d", lambda c, method, properties, body: held.append((method, properties, body)))

    def settle():
        pump(connection, 0.2)
        new, held[:] = held[:], []
        return new
    first = settle()
    say("two at a time", [body for _, _, body in first])
    say("properties", {k: v for k, v in vars(first[0][1]).items() if v is not None and k != "headers"},
        sorted(first[0][1].headers.items()))
    channel.basic_nack(first[0][0].delivery_tag, requeue=True)
    again = settle()
    say("put back in its place", [(b, m.redelivered) for m, _, b in again])
    channel.basic_reject(again[0][0].delivery_tag, requeue=False)
    channel.basic_ack(first[1][0].delivery_tag)
    rest = settle()
    say("next", [b for _, _, b in rest])
    channel.basic_cancel(tag)
    pump(connection, 0.2)
    # After a cancel, the consumer's deliveries stay unacknowledged. They are requeued when the
    # channel closes.
    connection.close()
    connection = connect(url)
    channel = connection.channel()
    left = []
    while (got := channel.basic_get("d"))[0]:
        left.append((got[2], got[0].redelivered))
    say("after a broken channel", left)
    channel.basic_recover(requeue=True)
    say("recovered", channel.basic_get("d")[2])
    channel.basic_ack(0, multiple=True)
    connection.close()
    connection = connect(url)
    channel = connection.channel()
    say("left", channel.queue_declare("d", passive=True).method.message_count)
    # Two consumers take turns. When one leaves, the other gets all messages.
    heard = {"a": [], "b": []}
    tags = {n: channel.basic_consume("d", lambda c, m, p, b, n=n: (heard[n].append(b), c.basic_ack(m.delivery_tag))) for n in heard}
    channel.queue_purge("d")
    for number in range(4):
        channel.basic_publish("", "d", str(number).encode())
    pump(connection, 0.3)
    say("in turn", sorted(len(h) for h in heard.values()))
    channel.basic_cancel(tags["a"])
    channel.basic_publish("", "d", b"last")
    pump(connection, 0.3)
    say("the other", heard["b"][-1])
    channel.queue_delete("d")
    pump(connection, 0.2)
    say("cancelled by the broker", channel.consumer_tags)
    connection.close()


def lifetimes(url, say):
    connection = connect(url)
    channel = connection.channel()
    channel.exchange_declare("dlx", "direct")
    channel.queue_declare("dead")
    for key in ("short", "limited", "nacked", "other"):
        channel.queue_bind("dead", "dlx", key)
    channel.queue_declare("short", arguments={"x-message-ttl": 100, "x-dead-letter-exchange": "dlx"})
    channel.queue_declare("limited", arguments={
        "x-max-length": 2, "x-dead-letter-exchange": "dlx", "x-dead-letter-routing-key": "other"})
    channel.queue_declare("nacked", durable=True, arguments={"x-dead-letter-exchange": "dlx"})
    channel.basic_publish("", "short", b"old")
    channel.basic_publish("", "nacked", b"own", pika.BasicProperties(expiration="50", delivery_mode=2))
    for number in range(4):
        channel.basic_publish("", "limited", b"%d" % number)
    pump(connection, 0.8)
    channel.basic_publish("", "nacked", b"no", PERSISTENT)
    pump(connection, 0.2)
    method = channel.basic_get("nacked")[0]
    channel.basic_nack(method.delivery_tag, requeue=False)
    pump(connection, 0.2)
    letters = []
    while (got := channel.basic_get("dead", auto_ack=True))[0]:
        death = got[1].headers["x-death"][0]
        letters.append((got[2], got[0].routing_key, death["queue"], death["reason"], death["count"], death["exchange"],
                        death["routing-keys"], got[1].headers["x-first-death-reason"], got[1].expiration))
    for letter in sorted(letters):
        say("dead", *letter)
    say("left", [channel.queue_declare(q, passive=True).method.message_count for q in ("short", "limited", "nacked")])
    for queue in ("dead", "short", "limited", "nacked"):
        channel.queue_delete(queue)
    channel.exchange_delete("dlx")
    channel.queue_declare("brief", auto_delete=True)
    tag = channel.basic_consume("brief", lambda *_: None)
    channel.basic_cancel(tag)
    connection.close()
    say("auto-delete", fault(url, lambda c: c.queue_declare("brief", passive=True)))


def many(url, say):
    connection = connect(url)
    channel = connection.channel()
    channel.queue_declare("many", durable=True)
    for number in range(10_000):
        channel.basic_publish("", "many", b"%d" % number, PERSISTENT)
    heard = []

    def hear(c, method, properties, body):
        heard.append(int(body))
        if len(heard) % 100 == 0:
            c.basic_ack(method.delivery_tag, multiple=True)
        if len(heard) == 10_000:
            c.stop_consuming()
    channel.basic_qos(prefetch_count=300)
    channel.basic_consume("many", hear)
    channel.start_consuming()
    say("in order", heard == list(range(10_000)))
    big = bytes(range(256)) * 4096
    channel.basic_publish("", "many", big)
    while True:
        method, _, body = channel.basic_get("many", auto_ack=True)
        if method:
            break
    say("a megabyte", body == big)
    say("left", channel.queue_delete("many").method.message_count)
    connection.close()


async def asynchronous(url, say):
    connection = await aio_pika.connect_robust(url)
    async with connection:
        channel = await connection.channel(publisher_confirms=True)
        await channel.set_qos(prefetch_count=10)
        exchange = await channel.declare_exchange("events", aio_pika.ExchangeType.TOPIC, durable=True)
        queue = await channel.declare_queue("", exclusive=True)
        await queue.bind(exchange, "user.*.created")
        for number in range(50):
            await exchange.publish(
                aio_pika.Message(b"%d" % number, delivery_mode=aio_pika.DeliveryMode.PERSISTENT, headers={"n": number}),
                routing_key=f"user.{number}.created")
        heard = []
        async with queue.iterator() as messages:
            async for message in messages:
                async with message.process():
                    heard.append((int(message.body), message.headers["n"]))
                if len(heard) == 50:
                    break
        say("async", heard == [(n, n) for n in range(50)])
        # A request and its reply.
        requests = await channel.declare_queue("requests", auto_delete=True)

        async def serve(message):
            async with message.process():
                await channel.default_exchange.publish(
                    aio_pika.Message(message.body[::-1], correlation_id=message.correlation_id), routing_key=message.reply_to)
        await requests.consume(serve)
        answers = await channel.declare_queue("", exclusive=True)
        await channel.default_exchange.publish(
            aio_pika.Message(b"abc", reply_to=answers.name, correlation_id="7"), routing_key="requests")
        for _ in range(100):
            answer = await answers.get(fail=False)
            if answer:
                break
            await asyncio.sleep(0.02)
        await answer.ack()
        say("answer", answer.body, answer.correlation_id)
        try:
            await exchange.publish(aio_pika.Message(b"x"), routing_key="nobody", mandatory=True)
            say("mandatory", "accepted")
        except aio_pika.exceptions.DeliveryError as error:
            say("mandatory", error.frame and type(error.frame).__name__)
        await channel.exchange_delete("events")


SCRIPTS = {"topology": topology, "refusals": refusals, "delivery": delivery, "lifetimes": lifetimes, "many": many,
           "asynchronous": lambda url, say: asyncio.run(asynchronous(url, say))}


def transcript(url, script):
    lines = []
    SCRIPTS[script](url, lambda *words: lines.append(" ".join(map(str, words))))
    return lines


class AMQP(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.server = Server(services=("broker",), secret=None).start()
        cls.url = cls.server.urls["amqp"].replace("amqp://", "amqp://guest:guest@") + "/"
        cls.rabbit = rabbit.Rabbit().start() if rabbit.find() else None

    @classmethod
    def tearDownClass(cls):
        cls.server.kill()
        cls.server.folder.cleanup()
        if cls.rabbit:
            cls.rabbit.stop()

    def test_scripts(self):
        for name in SCRIPTS:
            with self.subTest(name):
                ours = transcript(self.url, name)
                self.assertTrue(ours)
                if self.rabbit:
                    self.assertEqual(ours, transcript(self.rabbit.url, name))

    def test_unsupported_features_are_refused(self):
        for action in (lambda c: c.queue_declare("s", durable=True, arguments={"x-queue-type": "stream"}),
                       lambda c: c.basic_qos(prefetch_size=5)):
            self.assertEqual(fault(self.url, action), "connection 540")

    def test_other_protocols_get_the_supported_version(self):
        from harness import raw
        self.assertEqual(raw(self.server.port, b"GET / HTTP/1.1\r\n\r\n", 3), b"AMQP\x00\x00\x09\x01")

    def test_confirmed_messages_survive_a_restart(self):
        connection = connect(self.url)
        channel = connection.channel()
        channel.queue_declare("kept", durable=True)
        channel.queue_declare("lost")
        channel.exchange_declare("kept", "fanout", durable=True)
        channel.queue_bind("kept", "kept")
        channel.confirm_delivery()
        for number in range(100):
            channel.basic_publish("kept", "", b"%d" % number, PERSISTENT)
            channel.basic_publish("", "lost", b"x", PERSISTENT)
        self.server.kill()
        self.server.start()
        connection = connect(self.url)
        channel = connection.channel()
        self.assertEqual([channel.basic_get("kept", auto_ack=True)[2] for _ in range(100)], [b"%d" % n for n in range(100)])
        channel.basic_publish("kept", "", b"still bound")
        self.assertEqual(channel.queue_delete("kept").method.message_count, 1)
        channel.exchange_delete("kept")
        connection.close()
        self.assertEqual(fault(self.url, lambda c: c.queue_declare("lost", passive=True)), "channel 404")


if __name__ == "__main__":
    unittest.main()
