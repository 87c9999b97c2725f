"""Runs `parley serve broker` on a free port, with its files in a temporary folder."""

import os
import signal
import subprocess
import tempfile


class Broker:
    def __init__(self, *flags):
        self.flags = flags

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.errors = open(os.path.join(self.folder.name, "errors"), "w+")
        self.process = subprocess.Popen([os.environ["PARLEY_BINARY"], "serve", "broker", "--amqp-port", "0", "--log-level", "error",
                                         "--data", os.path.join(self.folder.name, "data"), *self.flags], stdout=subprocess.PIPE, stderr=self.errors, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("listening amqp "):
            raise RuntimeError(f"the broker does not start: {line}")
        self.port = int(line.rsplit(":", 1)[1])
        self.process.stdout.readline()
        return self

    def running(self):
        return self.process.poll() is None

    def __exit__(self, *_):
        if self.running():
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()
        self.folder.cleanup()
