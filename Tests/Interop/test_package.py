"""The packages that `scripts/package` makes: installed, started as systemd would, and removed."""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest

from documents import ROOT
from harness import BINARY, PORT_FLAGS, Client
from test_sessions import until

def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def connected(port):
    """A client of a port; None if nothing listens there."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
    except ConnectionRefusedError:
        return None
    return Client(port)


FREE_PORTS = [word for flag in PORT_FLAGS.values() for word in (flag, "0")]


def package(folder):
    done = subprocess.run([ROOT / "scripts/package", "--binary", BINARY, folder], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


class Manager:
    """The part of a service manager that listens to a process."""

    def __init__(self, binary, data, *flags, watchdog=None):
        self.folder = tempfile.TemporaryDirectory()
        path = os.path.join(self.folder.name, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.socket.settimeout(60)
        environment = {**os.environ, "NOTIFY_SOCKET": path}
        if watchdog:
            environment["WATCHDOG_USEC"] = str(int(watchdog * 1e6))
        self.process = subprocess.Popen([binary, "serve", "--data", data, *FREE_PORTS, *flags], env=environment, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def hear(self, seconds=60):
        self.socket.settimeout(seconds)
        return self.socket.recv(4096).decode()

    def urls(self):
        urls = {}
        while (line := self.process.stdout.readline()) != "ready\n":
            words = line.split()
            assert words[:1] == ["listening"], line + self.process.stderr.read()
            urls[words[1]] = words[2]
        return urls

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        self.socket.close()
        self.folder.cleanup()


class Packages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.here = pathlib.Path(cls.folder.name)
        cls.deb, cls.tar = package(cls.here / "packages")
        cls.root = cls.here / "root"
        for folder in ("info", "updates"):
            (cls.root / "var/lib/dpkg" / folder).mkdir(parents=True)
        (cls.root / "var/lib/dpkg/status").touch()
        cls.dpkg("--install", cls.deb)

    @classmethod
    def dpkg(cls, *words):
        # The libraries are those of this machine.
        done = subprocess.run(["dpkg", f"--root={cls.root}", "--force-depends", "--force-not-root",
                               "--force-script-chrootless", "--log=/dev/null", *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, binary, *flags, **more):
        data = tempfile.TemporaryDirectory()
        self.addCleanup(data.cleanup)
        manager = Manager(binary, data.name, *flags, **more)
        self.addCleanup(manager.stop)
        return manager

    def test_installed_service(self):
        unit = (self.root / "usr/lib/systemd/system/parley.service").read_text()
        words = unit.split("ExecStart=")[1].split("\n")[0].split()
        self.assertEqual(words[:4], ["/usr/bin/parley", "serve", "--data", "/var/lib/parley"])
        self.assertEqual(words[4], "--config")
        manager = self.start(str(self.root) + words[0], "--config", str(self.root) + words[5])
        urls = manager.urls()
        self.assertEqual(manager.hear().split("\n")[0], "READY=1")
        client = Client(int(urls["users"].rsplit(":", 1)[1]))
        self.assertEqual(client.register("ann")[0], 201)
        manager.process.send_signal(signal.SIGTERM)
        self.assertEqual(manager.hear(), "STOPPING=1")
        self.assertEqual(manager.process.wait(timeout=30), 0)

    def activate(self, services, ports, listen, environment=None):
        """Starts services as `systemd-socket-activate` does: at the first connection, with its sockets."""
        data = tempfile.TemporaryDirectory()
        self.addCleanup(data.cleanup)
        flags = [word for service in services for word in (PORT_FLAGS[service], str(ports[service]))]
        command = ["systemd-socket-activate", *(f"--listen={address}" for address in listen),
                   BINARY, "serve", *services, "--data", data.name, "--log-format", "text", *flags]
        process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(lambda: (process.poll() is None and process.kill(), process.communicate()))
        return process

    def test_socket_activation(self):
        ports = dict(zip(("users", "broker", "chat"), free_ports(3)))
        listen = [f"127.0.0.1:{port}" for port in ports.values()]
        process = self.activate(("broker", "users"), ports, listen)
        client = until(lambda: connected(ports["users"]))
        self.assertEqual(client.register("ann")[0], 201)
        urls = {words[1]: words[2] for words in map(str.split, iter(process.stdout.readline, "ready\n"))}
        self.assertEqual(urls, {"amqp": f"amqp://127.0.0.1:{ports['broker']}", "users": f"http://127.0.0.1:{ports['users']}"})
        with socket.create_connection(("127.0.0.1", ports["broker"]), timeout=10) as connection:
            connection.sendall(b"AMQP\0\0\x09\1")
            self.assertEqual(connection.recv(1), b"\1")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(timeout=30), 0)
        # No service listens on the third address.
        lines = [line for line in process.stderr.read().splitlines() if "socket-not-used" in line]
        self.assertEqual(len(lines), 1, lines)
        self.assertIn(f"127.0.0.1:{ports['chat']}", lines[0])

    def test_sockets_that_cannot_be_used(self):
        reads, writes = os.pipe()
        self.addCleanup(os.close, reads)
        self.addCleanup(os.close, writes)
        start = ("import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ.update(LISTEN_PID=str(os.getpid()), "
                 "LISTEN_FDS=sys.argv[2]); os.execv(sys.argv[3], sys.argv[3:])")
        for count, text in (("1", "the file descriptor 3 of LISTEN_FDS"), ("many", "LISTEN_FDS must be")):
            with tempfile.TemporaryDirectory() as data:
                done = subprocess.run([sys.executable, "-c", start, str(reads), count, BINARY, "serve", "users", "--data", data],
                                      capture_output=True, text=True, timeout=60, pass_fds=[reads])
            self.assertEqual(done.returncode, 2, done)
            self.assertIn(text, done.stderr)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)

    def test_socket_unit(self):
        unit = (self.root / "usr/lib/systemd/system/parley.socket").read_text()
        listen = {line.split("=")[1] for line in unit.splitlines() if line.startswith("ListenStream=")}
        check = subprocess.run([BINARY, "serve", "--check", "--data", self.here / "new"], capture_output=True, text=True)
        settings = json.loads(check.stdout)
        ports = ("usersPort", "chatPort", "customersPort", "managerPort", "amqpPort")
        self.assertEqual(listen, {f"{settings['host']}:{settings[port]}" for port in ports})

    def test_watchdog(self):
        manager = self.start(BINARY, watchdog=0.4)
        manager.urls()
        self.assertEqual(manager.hear().split("\n")[0], "READY=1")
        begin = time.monotonic()
        for _ in range(5):
            self.assertEqual(manager.hear(10), "WATCHDOG=1")
        self.assertGreater(time.monotonic() - begin, 0.6)
        # A process that hangs is not heard.
        manager.process.send_signal(signal.SIGSTOP)
        with self.assertRaises(TimeoutError):
            while True:
                manager.hear(2)
        manager.process.send_signal(signal.SIGCONT)
        self.assertEqual(manager.hear(10), "WATCHDOG=1")

    def test_hardening(self):
        unit = self.root / "usr/lib/systemd/system/parley.service"
        done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=20", unit],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"Overall exposure level for parley.service: [01]\.\d OK")

    def test_contents(self):
        for path in ("usr/share/man/man1/parley.1.gz", "usr/share/bash-completion/completions/parley",
                     "usr/share/fish/vendor_completions.d/parley.fish", "usr/share/parley/dashboards/parley.json",
                     "usr/share/doc/parley/copyright", "usr/share/doc/parley/operations/README.md"):
            self.assertGreater((self.root / path).stat().st_size, 0, path)
        depends = subprocess.run(["dpkg-deb", "--field", self.deb, "Depends"], capture_output=True, text=True).stdout
        for library in ("libc6", "libsqlite3-0", "libssl3"):
            self.assertIn(library, depends)
        check = subprocess.run([self.root / "usr/bin/parley", "serve", "--check", "--data", self.here / "new", "--config",
                                self.root / "etc/parley/parley.json5"], capture_output=True, text=True)
        self.assertEqual(check.returncode, 0, check.stderr)

    def test_tarball(self):
        with tempfile.TemporaryDirectory() as folder:
            with tarfile.open(self.tar) as archive:
                archive.extractall(folder)
            top, = pathlib.Path(folder).iterdir()
            manager = self.start(top / "bin/parley")
            self.assertIn("users", manager.urls())

    def test_containerfile(self):
        """No container engine is here. What the file says is compared with the packages, and run as it says."""
        text = (ROOT / "packaging/Containerfile").read_text().replace("\\\n", " ")
        steps = [line.split(None, 1) for line in text.splitlines() if line and not line.startswith("#")]
        said = {}
        for name, value in steps:
            said.setdefault(name, []).append(value)
        depends = subprocess.run(["dpkg-deb", "--field", self.deb, "Depends"], capture_output=True, text=True).stdout
        for library in depends.split(", "):
            # These two are in every Debian image.
            if library.strip() not in ("libc6", "libgcc-s1"):
                self.assertIn(library.strip(), said["RUN"][0])
        system = dict(line.split("=", 1) for line in pathlib.Path("/etc/os-release").read_text().splitlines() if "=" in line)
        version = system["VERSION_ID"].strip('"')
        self.assertEqual(said["FROM"], [f"{system['ID']}:{version}-slim"])
        pattern, target = said["ADD"][0].split()
        archive, = pathlib.Path(self.tar).parent.glob(pattern)
        self.assertEqual((str(archive), target), (self.tar, "/opt/"))
        environment = dict(word.split("=", 1) for word in said["ENV"][0].split())
        self.assertEqual(environment["PARLEY_DATA"], said["VOLUME"][0])
        self.assertIn("--owner=" + said["USER"][0].split(":")[0], said["RUN"][1])
        with tempfile.TemporaryDirectory() as folder:
            with tarfile.open(archive) as opened:
                opened.extractall(folder)
            binary, = pathlib.Path(folder).glob("parley-*/bin/parley")
            words = json.loads(said["ENTRYPOINT"][0]) + json.loads(said["CMD"][0])
            self.assertEqual(words[0], binary.name)
            environment["PARLEY_DATA"] = folder
            checked = subprocess.run([binary, *words[1:], "--check"], env=environment, capture_output=True, text=True)
            self.assertEqual(checked.returncode, 2)
            self.assertIn("PARLEY_SERVICE_TOKEN", checked.stderr)
            environment["PARLEY_SERVICE_TOKEN"] = "a token of a container"
            process = subprocess.Popen([binary, *words[1:], *FREE_PORTS], env=environment, text=True,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.addCleanup(lambda: (process.poll() is None and process.kill(), process.communicate()))
            urls = [line.split()[2] for line in iter(process.stdout.readline, "ready\n")]
            self.assertTrue(all("0.0.0.0" in url for url in urls), urls)
            process.send_signal(getattr(signal, said["STOPSIGNAL"][0]))
            self.assertEqual(process.wait(timeout=30), 0)
        help = subprocess.run([BINARY, "help", "serve"], capture_output=True, text=True).stdout
        self.assertEqual(set(said["EXPOSE"][0].split()), set(re.findall(r"--\w+-port PORT .*\(default (\d+)\)", help)))

    def test_reproducible(self):
        again = package(self.here / "again")
        for one, other in zip((self.deb, self.tar), again):
            self.assertEqual(pathlib.Path(one).name, pathlib.Path(other).name)
            self.assertEqual(pathlib.Path(one).read_bytes(), pathlib.Path(other).read_bytes())

    def test_upgrade_and_removal(self):
        root = self.here / "second"
        shutil.copytree(self.root, root)
        first, type(self).root = self.root, root
        try:
            config = root / "etc/parley/parley.json5"
            config.write_text("{ usersPort: 8002 }\n")
            self.dpkg("--install", self.deb)
            self.assertEqual(config.read_text(), "{ usersPort: 8002 }\n")
            self.dpkg("--remove", "parley")
            self.assertFalse((root / "usr/bin/parley").exists())
            self.assertTrue(config.exists())
            self.dpkg("--purge", "parley")
            self.assertFalse(config.exists())
        finally:
            type(self).root = first


if __name__ == "__main__":
    unittest.main()
