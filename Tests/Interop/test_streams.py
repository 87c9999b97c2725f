"""The server works if its standard streams are closed, or are not read."""

import os
import signal
import socket
import subprocess
import tempfile
import unittest

from harness import BINARY, Client


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def full_pipe():
    """Returns a full pipe."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"." * 4096)
    except BlockingIOError:
        os.set_blocking(writer, True)
    return reader, writer


class StreamsTest(unittest.TestCase):
    def serve(self, **streams):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        port = free_port()
        process = subprocess.Popen([BINARY, "serve", "users", "--data", folder.name, "--users-port", str(port)],
                                   **streams)
        self.addCleanup(lambda: (process.kill(), process.wait()))
        while process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return process, port
            except ConnectionRefusedError:
                continue
        self.fail("the server ended")

    def check(self, process, port, requests=20):
        client = Client(port)
        for _ in range(requests):
            self.assertEqual(client.send("GET", "/" + "x" * 4000)[0], 404)
        client.connection.close()
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(timeout=15), 0)

    def test_a_log_without_a_reader(self):
        reader, writer = os.pipe()
        process, port = self.serve(stdout=subprocess.DEVNULL, stderr=writer)
        os.close(writer)
        self.check(process, port, requests=2000)

    def test_a_second_signal_ends_the_process(self):
        _, writer = full_pipe()
        process, port = self.serve(stdout=writer, stderr=writer)
        # A request in flight delays the end of the drain by ten seconds.
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"POST /login HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n")
            self.assertEqual(Client(port).send("GET", "/nowhere")[0], 404)
            process.send_signal(signal.SIGTERM)
            with self.assertRaises(subprocess.TimeoutExpired):
                process.wait(timeout=1)
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(timeout=5), -signal.SIGTERM)

    def test_standard_output_without_a_reader(self):
        _, writer = full_pipe()
        self.check(*self.serve(stdout=writer, stderr=subprocess.DEVNULL))

    def test_a_full_disk_under_the_log(self):
        with open("/dev/full", "wb") as full:
            self.check(*self.serve(stdout=full, stderr=full))

    def test_a_reader_that_closes_its_end(self):
        reader, writer = os.pipe()
        os.close(reader)
        self.check(*self.serve(stdout=writer, stderr=writer))

    def test_closed_streams_are_replaced(self):
        process, port = self.serve(preexec_fn=lambda: [os.close(number) for number in range(3)])
        for number in range(3):
            self.assertEqual(os.readlink(f"/proc/{process.pid}/fd/{number}"), "/dev/null")
        self.check(process, port)


if __name__ == "__main__":
    unittest.main()
