"""Benchmarks of the chat and of python-socketio on uvicorn: messages, latency, fan-out, idle
sockets. The server has one core, and the load another."""

import base64
import json
import os
import resource
import socket
import subprocess
import sys
import time

from measure import FOLDER, ROOT, SECONDS, cpu_seconds, free_port, measured, parley, pinned, post, product, report, resident, speed, title, wait_for


def load(port, lines, *rate):
    path = os.path.join(FOLDER, "sockets")
    with open(path, "w") as file:
        file.write("".join(line + "\n" for line in lines))
    values = measured(1, [product("ChatLoad"), port, path, SECONDS, *rate])
    assert values["failures"] == 0, values
    return values


def reader(sockets):
    """Passes the sockets to another process on the load's core, which reads from them until they
    end."""
    numbers = [one.fileno() for one in sockets]
    process = pinned(1, [sys.executable, "-c", f"""
import select, socket
p = select.epoll()
s = {{n: socket.socket(fileno=n) for n in {numbers}}}
for n in s: p.register(n, select.EPOLLIN)
while s:
    for n, _ in p.poll():
        if not s[n].recv(1 << 16):
            p.unregister(n)
            s.pop(n).close()
"""], pass_fds=numbers)
    for one in sockets:
        one.close()
    return process


def bare_writes(size, count=1000, rounds=40):
    """Returns the CPU time in microseconds of one write of `size` bytes to a loopback socket, as in
    a fan-out. Another process reads."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=count)
    theirs = [socket.create_connection(("127.0.0.1", listener.getsockname()[1])) for _ in range(count)]
    sockets = [listener.accept()[0] for _ in range(count)]
    reading = reader(theirs)
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
    reading.wait()
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
    title()
    server, ports = parley("chat", ["users", "chat"], "--password-rounds", "1", "--ping-interval", "300s")
    port = ports["chat"]
    url = f"http://127.0.0.1:{port}"
    people = []
    for number in range(200):
        post(url + "/register", {"username": f"u{number}", "password": "password123"})
        people.append(post(url + "/login", {"username": f"u{number}", "password": "password123"}))
    for a, b in zip(people[::2], people[1::2]):
        post(url + "/addContact", {"sessionID": a["sessionID"], "contact": b["username"]})
        post(url + "/addContact", {"sessionID": b["sessionID"], "contact": a["username"]})
    pairs = [f"{p['sessionID']} {people[i ^ 1]['user_id']} 0" for i, p in enumerate(people)]
    peer_port = free_port()
    peer = pinned(0, [sys.executable, os.path.join(ROOT, "Tests/Support/peers/socketio_peer.py"), FOLDER + "/peer.db", peer_port])
    wait_for(peer_port)
    # The best of three turns each, since the speed of the machine varies.
    own, theirs = [], []
    for _ in range(3):
        before = cpu_seconds(server.pid)
        rate = load(port, pairs)["stored_per_second"]
        own.append((rate, (cpu_seconds(server.pid) - before) / (rate * SECONDS) * 1e6))
        theirs.append(load(peer_port, [f"{i} {i ^ 1} 0" for i in range(200)])["stored_per_second"])
    peer.kill()
    (rate, cost), peer_rate = max(own), max(theirs)
    print(f"stored and delivered: parley {rate:.0f}/s ({cost:.1f} us each), python-socketio {peer_rate:.0f}/s")
    ratio = rate / peer_rate
    paced = load(port, pairs, "5000")
    results.append(report("direct messages a second against python-socketio", f"{ratio:.1f}", ">= 15", ratio >= 15))
    bound = 20 / speed()
    results.append(report("p99 latency at 5,000 messages a second, ms", f"{paced['p99_milliseconds']:.1f}", f"<= {bound:.1f}", paced["p99_milliseconds"] <= bound))

    # Fan-out: each message to a group of two goes to 1,000 sockets of one user. Another process
    # reads them.
    group = post(url + "/createGroup", {"sessionID": people[0]["sessionID"], "name": "g", "members": [people[1]["username"]]})
    reading = reader(idle_sockets(port, people[1]["sessionID"], 1000))
    before = cpu_seconds(server.pid)
    count = 300
    lines = [f"{people[0]['sessionID']} {group['group_id']} 1"]
    own = load(port, lines, str(count / SECONDS))
    spent = cpu_seconds(server.pid) - before
    each = spent / (count * 1000) * 1e6
    size = 330
    bare = bare_writes(size)
    results.append(report("fan-out, CPU per recipient against a bare write", f"{each / bare:.2f}", "<= 1.50", each / bare <= 1.5))
    print(f"  {each:.1f} us against {bare:.1f} us")
    reading.terminate()
    reading.wait()
    time.sleep(1)
    server.terminate()
    server.wait()

    resource.setrlimit(resource.RLIMIT_NOFILE, (19_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    server, ports = parley("chat", ["users", "chat"], "--ping-interval", "300s")
    port = ports["chat"]
    sockets = idle_sockets(port, people[0]["sessionID"], 500)
    before = resident(server.pid)
    sockets += idle_sockets(port, people[0]["sessionID"], 9500)
    each = (resident(server.pid) - before) / 9500
    results.append(report("10,000 idle sockets, kB each", f"{each:.1f}", "<= 9.0", each <= 9))
    server.kill()
    server.wait()
    return 0 if all(results) else 1


sys.exit(main())
