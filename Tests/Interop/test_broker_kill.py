"""The broker is killed repeatedly under load. Every confirmed message is delivered at least once,
and in order the first time."""

import threading
import unittest

import pika

from harness import Server

ROUNDS = 50
PERSISTENT = pika.BasicProperties(delivery_mode=2)


class Kill(unittest.TestCase):
    def test_kill_under_load(self):
        server = Server(services=("broker",), secret=None).start()
        self.addCleanup(server.folder.cleanup)
        self.addCleanup(lambda: server.process.poll() is None and server.kill())
        url = server.urls["amqp"].replace("amqp://", "amqp://guest:guest@") + "/"
        confirmed, pending, heard = [], [0], []

        def publisher():
            try:
                channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
                channel.queue_declare("q", durable=True)
                channel.confirm_delivery()
                while True:
                    channel.basic_publish("", "q", b"%d" % pending[0], PERSISTENT)
                    confirmed.append(pending[0])
                    pending[0] += 1
            except pika.exceptions.AMQPError:
                return  # The broker is dead. The next round publishes this message again.

        def consumer():
            try:
                channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
                channel.queue_declare("q", durable=True)
                channel.basic_qos(prefetch_count=20)
                for method, _, body in channel.consume("q"):
                    heard.append(int(body))
                    if int(body) % 3 == 0:
                        channel.basic_ack(method.delivery_tag, multiple=True)
            except pika.exceptions.AMQPError:
                return

        for number in range(ROUNDS):
            threads = [threading.Thread(target=publisher)]
            # Every other round has no consumer, so many messages are left for the next.
            if number % 2:
                threads.append(threading.Thread(target=consumer))
            before = len(confirmed)
            for thread in threads:
                thread.start()
            while len(confirmed) < before + 50 + number:
                threads[0].join(0.002)
            server.kill()
            for thread in threads:
                thread.join()
            server.start()
        channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
        while (got := channel.basic_get("q", auto_ack=True))[0]:
            heard.append(int(got[2]))
        self.assertGreater(len(confirmed), ROUNDS * 50)
        self.assertEqual(set(confirmed) - set(heard), set())
        # A redelivered message was delivered before; new messages arrive in order.
        seen, firsts = set(), []
        for number in heard:
            if number not in seen:
                seen.add(number)
                firsts.append(number)
        self.assertEqual(firsts, sorted(firsts))


if __name__ == "__main__":
    unittest.main()
