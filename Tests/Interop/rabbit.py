"""Runs `rabbitmq-server` on a free port, with its files in a temporary folder."""

import os
import shutil
import socket
import subprocess
import tempfile
import time


def find():
    """Returns the path of RabbitMQ's script. Tests that need it fail without it; `scripts/interop`
    installs it."""
    # Unlike this script, the wrapper in /usr/sbin changes the user.
    for path in ("/usr/lib/rabbitmq/bin/rabbitmq-server", shutil.which("rabbitmq-server"), "/usr/sbin/rabbitmq-server"):
        if path and os.path.exists(path):
            return path
    raise RuntimeError("RabbitMQ is needed (Debian: apt-get install rabbitmq-server)")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Rabbit:
    """A broker. With `tls`, the paths of an authority, a certificate and a key, it accepts nothing but TLS."""

    def __init__(self, core=None, tls=None):
        self.tls = tls
        self.command = ["taskset", "-c", str(core)] if core is not None else []
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        os.chmod(self.folder.name, 0o777)
        self.port, self.distribution = free_port(), free_port()

    def start(self):
        with open(os.path.join(self.folder.name, "rabbitmq.conf"), "w") as file:
            file.write("loopback_users = none\n")
            if self.tls:
                authority, certificate, key = self.tls
                file.write(f"listeners.tcp = none\nlisteners.ssl.1 = 127.0.0.1:{self.port}\nssl_options.cacertfile = {authority}\n"
                           f"ssl_options.certfile = {certificate}\nssl_options.keyfile = {key}\nssl_options.verify = verify_none\n"
                           "ssl_options.fail_if_no_peer_cert = false\n")
            else:
                file.write(f"listeners.tcp.1 = 127.0.0.1:{self.port}\n")
        with open(os.path.join(self.folder.name, "plugins"), "w") as file:
            file.write("[].")
        environment = {
            **os.environ, "RABBITMQ_NODENAME": f"parley{self.port}@localhost", "RABBITMQ_DIST_PORT": str(self.distribution),
            "RABBITMQ_MNESIA_BASE": self.folder.name, "RABBITMQ_LOG_BASE": self.folder.name, "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": os.path.join(self.folder.name, "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": os.path.join(self.folder.name, "plugins"), "HOME": self.folder.name,
        }
        self.process = subprocess.Popen([*self.command, find()], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        start_new_session=True)
        end = time.monotonic() + 90
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.2)
        self.url = f"{'amqps' if self.tls else 'amqp'}://guest:guest@127.0.0.1:{self.port}/"
        return self

    def stop(self):
        os.killpg(self.process.pid, 9)
        self.process.wait()
        self.folder.cleanup()
