"""Tools of the benchmarks: processes pinned to cores, their CPU time and memory, and the table of
results. The server has core 0, and the load core 1."""

import atexit
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
SECONDS = int(os.environ.get("SECONDS_EACH", "5"))
FOLDER = tempfile.mkdtemp(prefix="parley-bench-", dir=ROOT + "/.build")
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)


def product(name):
    return os.path.join(ROOT, ".build/release", name)


def pinned(core, command, **more):
    process = subprocess.Popen(["taskset", "-c", str(core), *map(str, command)], **more)
    # The processes of a benchmark that fails end with it.
    atexit.register(process.kill)
    return process


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid):
    """Returns the resident memory in kB."""
    with open(f"/proc/{pid}/status") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))


def wait_for(port, seconds=60):
    for _ in range(seconds * 20):
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"nothing listens on {port}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def parley(name, services, *flags, cores=0):
    """Starts `parley serve` on free ports. Returns the process and the port of each service."""
    ports = ["--users-port", "--chat-port", "--customers-port", "--manager-port", "--amqp-port"]
    command = [product("parley"), "serve", *services, "--data", os.path.join(FOLDER, name), "--log-level", "error", *flags]
    process = pinned(cores, command + [word for flag in ports for word in (flag, "0")], stdout=subprocess.PIPE, text=True)
    found = {}
    while (line := process.stdout.readline()) != "ready\n":
        found[line.split()[1]] = int(line.split()[2].rsplit(":", 1)[1])
    return process, found


def post(url, body, token=None):
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    return json.load(urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)))


def measured(core, command):
    """Runs a load generator that prints `NAME VALUE` lines, and returns the values by name."""
    process = pinned(core, command, stdout=subprocess.PIPE, text=True)
    output = process.communicate()[0]
    assert process.returncode == 0, output
    return {name: float(value) for name, value in map(str.split, output.splitlines())}


# Round trips a second of `speed` on the machine for which the bounds were set.
ROUND_TRIPS = 85_000


def speed():
    """Returns the speed of this machine for small messages, relative to the machine of the bounds.

    A message goes over a socket pair, is parsed, stored in a database in memory, committed and
    answered. The latencies and rates of the chat and the queues consist of such work.
    """
    program = """
import json, os, socket, sqlite3, time
a, b = socket.socketpair()
d = sqlite3.connect(':memory:', isolation_level=None)
d.execute('CREATE TABLE rows (id INTEGER PRIMARY KEY, body TEXT)')
best = 0
for _ in range(5):
    begin = time.perf_counter()
    for number in range(5000):
        a.send(json.dumps({'number': number, 'content': 'a message of some length'}).encode())
        body = json.loads(b.recv(4096))
        d.execute('BEGIN')
        d.execute('INSERT INTO rows (body) VALUES (?)', (body['content'],))
        d.execute('COMMIT')
        b.send(b'{"status":"ok"}')
        a.recv(4096)
    best = max(best, 5000 / (time.perf_counter() - begin))
print(best)
"""
    output = subprocess.run(["taskset", "-c", "0", sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    return float(output) / ROUND_TRIPS


def title():
    print(f"{'what':<66} {'measured':>10} {'bound':>10}")


def report(what, value, bound, good):
    print(f"{what:<66} {value:>10} {bound:>10}  {'ok' if good else 'MISSED'}", flush=True)
    return good
