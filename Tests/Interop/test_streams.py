"""What happens to a server whose standard streams nobody reads, or that has none."""

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
    """A pipe that takes nothing more."""
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

    def test_nobody_reads_the_log(self):
        reader, writer = os.pipe()
        process, port = self.serve(stdout=subprocess.DEVNULL, stderr=writer)
        os.close(writer)
        self.check(process, port, requests=2000)

    def test_two_signals_end_it_whatever_it_waits_for(self):
        _, writer = full_pipe()
        process, port = self.serve(stdout=writer, stderr=writer)
        # A request in flight holds the drain up for ten seconds.
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"POST /login HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n")
            self.assertEqual(Client(port).send("GET", "/nowhere")[0], 404)
            process.send_signal(signal.SIGTERM)
            with self.assertRaises(subprocess.TimeoutExpired):
                process.wait(timeout=1)
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(timeout=5), -signal.SIGTERM)

    def test_nobody_reads_standard_output(self):
        _, writer = full_pipe()
        self.check(*self.serve(stdout=writer, stderr=subprocess.DEVNULL))

    def test_a_full_disk_under_the_log(self):
        with open("/dev/full", "wb") as full:
            self.check(*self.serve(stdout=full, stderr=full))

    def test_a_reader_that_went_away(self):
        reader, writer = os.pipe()
        os.close(reader)
        self.check(*self.serve(stdout=writer, stderr=writer))

    def test_closed_streams_do_not_lead_into_a_database(self):
        process, port = self.serve(preexec_fn=lambda: [os.close(number) for number in range(3)])
        for number in range(3):
            self.assertEqual(os.readlink(f"/proc/{process.pid}/fd/{number}"), "/dev/null")
        self.check(process, port)


if __name__ == "__main__":
    unittest.main()
