"""Runs PostgreSQL on a free port, with its files in a temporary folder, and proxies that cut its
connections."""

import glob
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time


def find(program):
    """Returns the path of a program of PostgreSQL's server. Tests that need it fail without it;
    `scripts/interop` installs it."""
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{program}")) or [shutil.which(program)]
    if not found[-1]:
        raise RuntimeError("PostgreSQL is needed (Debian: apt-get install postgresql)")
    return found[-1]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Postgres:
    """A server of one test. The owner of the database `parley` is `owner`, with the password
    `secret`. PostgreSQL refuses to run as root, so root runs it as the user `postgres`."""

    def __init__(self, **settings):
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.data = os.path.join(self.folder.name, "data")
        self.port = free_port()
        self.settings = settings
        self.user = []
        if os.geteuid() == 0:
            shutil.chown(self.folder.name, "postgres")
            self.user = ["runuser", "-u", "postgres", "--"]
        secret = os.path.join(self.folder.name, "secret")
        with open(secret, "w") as file:
            file.write("secret\n")
        subprocess.run([*self.user, find("initdb"), "-D", self.data, "-U", "owner", "--pwfile", secret, "--auth", "scram-sha-256",
                        "--encoding", "UTF8", "--locale", "C", "--no-sync"], check=True, stdout=subprocess.DEVNULL)

    def access(self, *lines):
        """Sets `pg_hba.conf`. Each line is `database user method`, after `hostssl` or `hostnossl` if it is for
        some connections only; the first that fits decides."""
        with open(os.path.join(self.data, "pg_hba.conf"), "w") as file:
            for line in [*lines, "all all scram-sha-256"]:
                *kind, database, user, method = line.split()
                file.write(f"{(kind or ['host'])[0]} {database} {user} 127.0.0.1/32 {method}\n")

    def secure(self, certificate, key):
        """Lets the server speak TLS with copies of these files, also after it was started."""
        for source, name in ((certificate, "server.crt"), (key, "server.key")):
            path = os.path.join(self.data, name)
            shutil.copy(source, path)
            os.chmod(path, 0o600)
            if self.user:
                shutil.chown(path, "postgres", "postgres")
        self.settings["ssl"] = "on"

    def reload(self):
        """Makes the server read its files again."""
        os.kill(self.postmaster(), signal.SIGHUP)

    def start(self):
        options = [f"--{name}={value}" for name, value in self.settings.items()]
        self.log = open(os.path.join(self.folder.name, "log"), "a")
        self.process = subprocess.Popen(
            [*self.user, find("postgres"), "-D", self.data, "-p", str(self.port), "-h", "127.0.0.1", "-k", "", *options],
            stdout=self.log, stderr=self.log)
        subprocess.run([find("pg_isready"), "-h", "127.0.0.1", "-p", str(self.port), "-t", "30"], stdout=subprocess.DEVNULL)
        for _ in range(300):
            if subprocess.run([find("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]).returncode == 0:
                return self
            if self.process.poll() is not None:
                break
            threading.Event().wait(0.1)
        raise RuntimeError(open(self.log.name).read())

    def postmaster(self):
        with open(os.path.join(self.data, "postmaster.pid")) as file:
            return int(file.readline())

    def kill(self):
        """Ends the server and its backends as a crash does."""
        os.kill(self.postmaster(), signal.SIGKILL)
        self.process.wait()
        self.log.close()
        # The backends notice the death of the postmaster, and the port becomes free.
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) != 0:
                    break
            threading.Event().wait(0.05)
        os.unlink(os.path.join(self.data, "postmaster.pid"))

    def stop(self):
        if self.process.poll() is None:
            os.kill(self.postmaster(), signal.SIGQUIT)
            self.process.wait()
        self.log.close()
        self.folder.cleanup()

    def url(self, login="owner:secret", database="parley", port=None, more=""):
        return f"postgresql://{login}@127.0.0.1:{port or self.port}/{database}{more}"

    def sql(self, text, database="parley"):
        """Runs statements with `psql`, and returns the rows, a text for each."""
        ran = subprocess.run(["psql", "-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-d", self.url(database=database), "-c", text],
                             capture_output=True, text=True)
        if ran.returncode != 0:
            raise RuntimeError(ran.stderr)
        return ran.stdout.splitlines()


class Between:
    """Listens between clients and a server. `serve` handles a client in a thread of its own."""

    def __init__(self, port):
        self.target = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def close(self):
        self.listener.close()


class Proxy(Between):
    """Passes bytes between clients and a server. `watch` is called with the client's bytes before
    they are passed on, and returns what to do: None, "cut" the connection, "cut later", which passes
    them on and cuts when the server answers, or "late", which cuts the client off at once and passes
    them on a second later."""

    def __init__(self, port, watch):
        self.watch = watch
        super().__init__(port)

    def serve(self, client):
        try:
            server = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            self.end(client)
            return
        state = {"cut": False}
        threading.Thread(target=self.down, args=(client, server, state), daemon=True).start()
        self.up(client, server, state)

    @staticmethod
    def end(*sockets):
        for each in sockets:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            each.close()

    def up(self, client, server, state):
        try:
            while data := client.recv(65536):
                verdict = self.watch(data)
                if verdict == "cut":
                    break
                state["cut"] = state["cut"] or verdict in ("cut later", "late")
                if verdict == "late":
                    client.shutdown(socket.SHUT_RDWR)
                    time.sleep(1)
                server.sendall(data)
        except OSError:
            pass
        self.end(client, server)

    def down(self, client, server, state):
        try:
            while data := server.recv(65536):
                if state["cut"]:
                    break
                client.sendall(data)
        except OSError:
            pass
        self.end(client, server)
