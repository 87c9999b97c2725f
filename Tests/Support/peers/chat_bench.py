"""Benchmarks of the chat beside python-socketio on uvicorn: messages, latency, fan-out, idle sockets. The server on one core, the load on the other."""

import base64
import json
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
PARLEY, LOAD = (os.path.join(ROOT, ".build/release", name) for name in ("parley", "ChatLoad"))
SECONDS = os.environ.get("SECONDS_EACH", "5")
FOLDER = tempfile.mkdtemp(prefix="parley-bench-", dir=ROOT + "/.build")


def ticks(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid):
    with open(f"/proc/{pid}/status") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))


def post(url, **body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request))


def load(port, lines, *rate):
    path = os.path.join(FOLDER, "sockets")
    with open(path, "w") as file:
        file.write("".join(line + "\n" for line in lines))
    output = subprocess.run(["taskset", "-c", "1", LOAD, str(port), path, SECONDS, *rate], capture_output=True, text=True, check=True).stdout
    values = {name: float(value) for name, value in map(str.split, output.splitlines())}
    assert values["failures"] == 0, output
    return values


def report(what, value, bound, good):
    print(f"{what:<66} {value:>10} {bound:>10}  {'ok' if good else 'MISSED'}", flush=True)
    return good


def bare_writes(size, count=1000, rounds=40):
    """CPU microseconds of one write of so many bytes to each of so many loopback sockets, as a fan-out does it; another process reads."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=count)
    reader = subprocess.Popen(["taskset", "-c", "1", sys.executable, "-c", f"""
import select, socket
p = select.epoll()
s = {{}}
for _ in range({count}):
    c = socket.create_connection(('127.0.0.1', {listener.getsockname()[1]}))
    s[c.fileno()] = c
    p.register(c.fileno(), select.EPOLLIN)
while s:
    for n, _ in p.poll():
        if not s[n].recv(1 << 16):
            p.unregister(n)
            s.pop(n).close()
"""])
    sockets = [listener.accept()[0] for _ in range(count)]
    numbers = [one.fileno() for one in sockets]
    program = f"""
import os, time
d = b'x' * {size}
spent = 0
for _ in range({rounds}):
    b = time.process_time()
    for n in {numbers}: os.write(n, d)
    spent += time.process_time() - b
    time.sleep(0.05)
print(spent / {rounds * count} * 1e6)
"""
    output = subprocess.run(["taskset", "-c", "0", sys.executable, "-c", program], pass_fds=numbers, capture_output=True, text=True, check=True).stdout
    for one in sockets:
        one.close()
    reader.wait()
    return float(output)


def idle_sockets(port, session, count):
    key = base64.b64encode(b"0123456789abcdef").decode()
    sockets = []
    for _ in range(count):
        one = socket.create_connection(("127.0.0.1", port))
        one.sendall(f"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
        payload = ("40" + json.dumps({"sessionID": session})).encode()
        head = bytes([0x81, 0x80 | len(payload)]) if len(payload) < 126 else bytes([0x81, 0xFE, len(payload) >> 8, len(payload) & 255])
        one.sendall(head + b"\0\0\0\0" + payload)
        sockets.append(one)
    for one in sockets:
        heard = b""
        while b"40{" not in heard:
            heard += one.recv(4096)
    return sockets


def main():
    results = []
    print(f"{'what':<66} {'measured':>10} {'bound':>10}")
    server = subprocess.Popen(["taskset", "-c", "0", PARLEY, "serve", "users", "chat", "--data", FOLDER + "/data", "--users-port", "0",
                               "--chat-port", "0", "--log-level", "error", "--password-rounds", "1", "--ping-interval", "300s"], stdout=subprocess.PIPE, text=True)
    urls = {}
    while (line := server.stdout.readline()) != "ready\n":
        urls[line.split()[1]] = line.split()[2]
    url = urls["chat"]
    port = int(url.rsplit(":", 1)[1])
    people = []
    for number in range(200):
        post(url + "/register", username=f"u{number}", password="password123")
        people.append(post(url + "/login", username=f"u{number}", password="password123"))
    for a, b in zip(people[::2], people[1::2]):
        post(url + "/addContact", sessionID=a["sessionID"], contact=b["username"])
        post(url + "/addContact", sessionID=b["sessionID"], contact=a["username"])
    pairs = [f"{p['sessionID']} {people[i ^ 1]['user_id']} 0" for i, p in enumerate(people)]
    before = ticks(server.pid)
    own = load(port, pairs)
    cost = (ticks(server.pid) - before) / (own["stored_per_second"] * int(SECONDS)) * 1e6
    paced = load(port, pairs, "5000")
    peer_port = 20000 + os.getpid() % 20000
    peer = subprocess.Popen(["taskset", "-c", "0", sys.executable, os.path.join(ROOT, "Tests/Support/peers/socketio_peer.py"), FOLDER + "/peer.db", str(peer_port)])
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", peer_port)).close()
            break
        except OSError:
            time.sleep(0.05)
    theirs = load(peer_port, [f"{i} {i ^ 1} 0" for i in range(200)])
    peer.kill()
    print(f"stored and delivered: parley {own['stored_per_second']:.0f}/s ({cost:.1f} us each), python-socketio {theirs['stored_per_second']:.0f}/s")
    ratio = own["stored_per_second"] / theirs["stored_per_second"]
    results.append(report("direct messages a second against python-socketio", f"{ratio:.1f}", ">= 15", ratio >= 15))
    results.append(report("p99 latency at 5,000 messages a second, ms", f"{paced['p99_milliseconds']:.1f}", "<= 20", paced["p99_milliseconds"] <= 20))

    # Fan-out: 1,000 sockets of one person in a group of two; each message goes to all of them.
    group = post(url + "/createGroup", sessionID=people[0]["sessionID"], name="g", members=[people[1]["username"]])
    sockets = idle_sockets(port, people[1]["sessionID"], 1000)
    before = ticks(server.pid)
    count = 300
    lines = [f"{people[0]['sessionID']} {group['group_id']} 1"]
    own = load(port, lines, str(count / int(SECONDS)))
    spent = ticks(server.pid) - before
    each = spent / (count * 1000) * 1e6
    size = 330
    bare = bare_writes(size)
    results.append(report("fan-out, CPU per recipient against a bare write", f"{each / bare:.2f}", "<= 1.50", each / bare <= 1.5))
    print(f"  {each:.1f} us against {bare:.1f} us")
    for one in sockets:
        one.close()
    time.sleep(1)
    server.terminate()
    server.wait()

    resource.setrlimit(resource.RLIMIT_NOFILE, (19_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    server = subprocess.Popen(["taskset", "-c", "0", PARLEY, "serve", "users", "chat", "--data", FOLDER + "/data", "--users-port", "0",
                               "--chat-port", "0", "--log-level", "error", "--ping-interval", "300s"], stdout=subprocess.PIPE, text=True)
    while (line := server.stdout.readline()) != "ready\n":
        urls[line.split()[1]] = line.split()[2]
    port = int(urls["chat"].rsplit(":", 1)[1])
    sockets = idle_sockets(port, people[0]["sessionID"], 500)
    before = resident(server.pid)
    sockets += idle_sockets(port, people[0]["sessionID"], 9500)
    each = (resident(server.pid) - before) / 9500
    results.append(report("10,000 idle sockets, kB each", f"{each:.1f}", "<= 9.0", each <= 9))
    server.kill()
    server.wait()
    return 0 if all(results) else 1


try:
    code = main()
finally:
    shutil.rmtree(FOLDER, ignore_errors=True)
sys.exit(code)
