"""Runs `parley serve broker` on a free port, with its files in a temporary folder."""

import os
import signal
import subprocess
import tempfile


class Broker:
    """A broker for a `with` block. It can be ended and started again on its port and its data."""

    def __init__(self, *flags):
        self.flags, self.port, self.process = flags, 0, None

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.errors = open(os.path.join(self.folder.name, "errors"), "w+")
        return self.start()

    def start(self):
        self.process = subprocess.Popen([os.environ["PARLEY_BINARY"], "serve", "broker", "--amqp-port", str(self.port), "--log-level", "error",
                                         "--data", os.path.join(self.folder.name, "data"), *self.flags], stdout=subprocess.PIPE, stderr=self.errors, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("listening amqp "):
            raise RuntimeError(f"the broker does not start: {line}")
        self.port = int(line.rsplit(":", 1)[1])
        self.process.stdout.readline()
        return self

    def running(self):
        return self.process.poll() is None

    def stop(self):
        """Stops the broker in order."""
        self.end(signal.SIGTERM)

    def kill(self):
        self.end(signal.SIGKILL)

    def end(self, how):
        if self.running():
            self.process.send_signal(how)
        self.process.wait()
        self.process.stdout.close()

    def __exit__(self, *_):
        self.kill()
        self.errors.close()
        self.folder.cleanup()
