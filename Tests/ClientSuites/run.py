"""Runs the suites. See scripts/client-suites."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "Interop"))

import docker  # noqa: E402
import expected  # noqa: E402
import suites  # noqa: E402
from broker import Broker  # noqa: E402
from tls import Authority  # noqa: E402

# The longest run of a suite, in seconds.
SECONDS = 1800
# The largest message that the broker takes, in bytes. Suites send some of 22 MB, above its default.
MESSAGE = 64 << 20


class OtherBroker(contextlib.nullcontext):
    """A broker that runs already."""

    def __init__(self, port):
        super().__init__(self)
        self.port = port

    def running(self):
        return True

    def start(self):
        raise NotImplementedError("another broker cannot be stopped or started")

    stop = kill = start


def starter(authority, stack):
    """Returns a function that starts a broker for each port of a list, `5672/tcp` and `5671/tcp`,
    the second over TLS. They end with `stack`."""
    certificate, key = authority.issue("server", "localhost", "127.0.0.1")
    flags = {"5672/tcp": [], "5671/tcp": ["--tls-cert", certificate, "--tls-key", key]}
    others = {"5672/tcp": "BROKER_PORT", "5671/tcp": "BROKER_TLS_PORT"}

    def start(ports):
        if "BROKER_PORT" in os.environ:
            return {port: OtherBroker(int(os.environ.get(others[port], 1))) for port in ports}
        return {port: stack.enter_context(Broker("--max-message-bytes", str(MESSAGE), *flags[port])) for port in ports}
    return start


def read(outcomes):
    """Reads the lines of OUTCOMES. A test that has failed once, for example in its teardown, has
    failed."""
    found = {}
    for line in outcomes.read_text().splitlines() if outcomes.exists() else []:
        outcome, _, test = line.partition("\t")
        if found.get(test) != "failed":
            found[test] = outcome
    return found


def run(suite, folder):
    """Runs one suite, prints its outcome, and returns whether it is as expected."""
    source, version = suite.fetch(folder)
    table = expected.Table(suite.name)
    outcomes = folder / "outcomes"
    command = suite.command(outcomes) + [f"--deselect={test}" for test in table.skipped]
    start = time.monotonic()
    certificates = folder / "certificates"
    certificates.mkdir()
    with contextlib.ExitStack() as stack:
        authority = Authority(certificates)
        start_brokers = starter(authority, stack)
        broker, secure = start_brokers(["5672/tcp", "5671/tcp"]).values()
        stand_in = docker.StandIn(start_brokers)
        stack.callback(stand_in.stop)
        place = suites.Place(broker.port, secure.port, stand_in.address, authority)
        environment = {**os.environ, "OUTCOMES": str(outcomes), **suite.prepare(source, place)}
        environment["PYTHONPATH"] = os.pathsep.join([str(suites.HERE), *([str(source)] if suite.own_package else [])])
        with open(folder / "output", "w+b") as output:
            process = subprocess.Popen(command, cwd=source, env=environment, stdin=subprocess.DEVNULL, stdout=output,
                                       stderr=subprocess.STDOUT, start_new_session=True)
            try:
                code = process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                code = None
        crashed = not (broker.running() and secure.running()) or stand_in.has_crashed()
    found = read(outcomes)
    wrong = table.judge(found)
    if crashed:
        wrong.append("the broker has ended")
    if code not in (0, 1):
        wrong.append(f"the run did not end within {SECONDS} s" if code is None else f"the run ended with {code}")
    count = {outcome: sum(o == outcome for o in found.values()) for outcome in ("passed", "failed", "skipped")}
    if not count["passed"]:
        wrong.append("no test has passed")
    print(f"{suite.name}: {count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped by the suite, "
          f"{len(table.skipped)} groups not run, {time.monotonic() - start:.0f} s ({version})", flush=True)
    if wrong:
        print((folder / "output").read_text(errors="replace")[-6000:])
        print("\n".join(f"  {line}" for line in wrong), flush=True)
    return not wrong


def main(names):
    known = [suite.name for suite in suites.SUITES]
    for name in names:
        if name not in known:
            sys.exit(f"no suite is named {name}; the suites are {', '.join(known)}")
    passed, failed, absent = 0, 0, []
    for suite in suites.SUITES:
        if names and suite.name not in names:
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                good = run(suite, pathlib.Path(folder))
            except suites.NotRun as reason:
                absent.append(f"{suite.name}: {reason}")
                continue
        passed, failed = passed + good, failed + (not good)
    for line in absent:
        print(f"not run: {line}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or (names and absent) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
