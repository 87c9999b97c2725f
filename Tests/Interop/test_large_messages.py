"""Messages of 128 MiB, the largest that the broker can be set to take: published with confirms,
stored, read back after the broker was killed, and delivered, within a bound of its memory."""

import hashlib
import signal
import threading
import time
import unittest

import pika

from broker import Broker

LARGEST = 128 << 20
PERSISTENT = pika.BasicProperties(delivery_mode=2)
# The most resident memory of the broker, in bytes: the message, its frames while they grow, what
# the network has not taken of them, and the broker itself. It needs 420 to 470 MiB.
BOUND = 5 * LARGEST


def body(number):
    block = hashlib.sha512(b"%d" % number).digest() * 1024
    return block * (LARGEST // len(block))


def peak(broker):
    """Returns the most memory that the broker has had, in bytes."""
    with open(f"/proc/{broker.process.pid}/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmHWM:"))


def connect(broker):
    return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", broker.port, heartbeat=0))


class SmallMessages(threading.Thread):
    """A client that sends small messages to itself, and notes the longest time of one."""

    def __init__(self, broker):
        super().__init__()
        self.broker, self.ends, self.longest, self.count = broker, threading.Event(), 0.0, 0

    def run(self):
        connection = connect(self.broker)
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("small", durable=True)
        while not self.ends.is_set():
            begin = time.monotonic()
            channel.basic_publish("", "small", b"x", PERSISTENT)
            assert channel.basic_get("small", auto_ack=True)[2] == b"x"
            self.longest, self.count = max(self.longest, time.monotonic() - begin), self.count + 1
            time.sleep(0.01)
        connection.close()


class LargeMessages(unittest.TestCase):
    def test_the_largest_message(self):
        sent = body(1)
        with Broker("--max-message-bytes", str(LARGEST)) as broker:
            small = SmallMessages(broker)
            small.start()
            connection = connect(broker)
            channel = connection.channel()
            channel.confirm_delivery()
            channel.queue_declare("large", durable=True)
            begin = time.monotonic()
            channel.basic_publish("", "large", sent, PERSISTENT)
            published = time.monotonic() - begin
            small.ends.set()
            small.join()
            self.assertGreater(small.count, 0)
            publishing = peak(broker)
            broker.process.send_signal(signal.SIGKILL)
            broker.process.wait()
            broker.start()
            connection = connect(broker)
            channel = connection.channel()
            begin = time.monotonic()
            method, properties, received = next(channel.consume("large", inactivity_timeout=60))
            delivered = time.monotonic() - begin
            self.assertTrue(received == sent, "the message has changed")
            self.assertTrue(method.redelivered)
            self.assertEqual(properties.delivery_mode, 2)
            channel.basic_ack(method.delivery_tag)
            channel.cancel()
            self.assertEqual(channel.queue_declare("large", passive=True).method.message_count, 0)
            connection.close()
            delivering = peak(broker)
        print(f"128 MiB: published in {published:.1f} s with {publishing >> 20} MiB, delivered in {delivered:.1f} s with "
              f"{delivering >> 20} MiB; {small.count} small messages meanwhile, the longest took {small.longest:.2f} s")
        self.assertLess(publishing, BOUND)
        self.assertLess(delivering, BOUND)
        # At most, a small message waits for the commit that holds the large one.
        self.assertLess(small.longest, published + 1)

    def test_one_byte_more(self):
        with Broker("--max-message-bytes", str(LARGEST)) as broker:
            channel = connect(broker).channel()
            channel.confirm_delivery()
            channel.queue_declare("large")
            with self.assertRaises(pika.exceptions.ChannelClosedByBroker) as refused:
                channel.basic_publish("", "large", body(1) + b"x")
            self.assertEqual(refused.exception.reply_code, 406)
            # It is never held in memory.
            self.assertLess(peak(broker), LARGEST)


if __name__ == "__main__":
    unittest.main()
