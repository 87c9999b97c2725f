"""Starts and stops ProtocolEcho, a server for tests."""

import os
import socket
import subprocess
import unittest


class Echo:
    def start(self, *flags):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process = subprocess.Popen([os.environ["PROTOCOL_ECHO_BINARY"], "--port", str(self.port), *flags], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline().startswith("listening echo ")
        self.url = f"http://localhost:{self.port}"
        return self

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class EchoCase(unittest.TestCase):
    """A test case whose tests share one ProtocolEcho."""

    flags = ()

    @classmethod
    def setUpClass(cls):
        cls.echo = Echo().start(*cls.flags)

    @classmethod
    def tearDownClass(cls):
        cls.echo.stop()
