"""Searches for mutants, and compares the runs of those that are not found with runs of the original."""

import json
import mmap
import os
import re
import resource
import select
import subprocess
import threading
import time

# A mutant may use memory without bound.
MEMORY = 3 << 30


def limit_memory():
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    os.nice(5)


class Sites:
    """The file in which the binary notes the sites that it reaches."""

    def __init__(self, path, count):
        self.path = path
        with open(path, "wb") as file:
            file.write(bytes(max(count, 1)))
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 0)

    def clear(self):
        self.memory[:] = bytes(len(self.memory))

    def reached(self):
        return {number for number, byte in enumerate(self.memory[:]) if byte}


def variables(number, sites):
    result = {key: value for key, value in os.environ.items() if not key.startswith("PARLEY_")}
    result["PARLEY_MUTANT_SITES"] = sites.path
    result["SWIFT_BACKTRACE"] = "enable=no"
    if number is not None:
        result["PARLEY_MUTANT"] = str(number)
    return result


class Runner:
    """A process that runs cases, with a mutant or without."""

    def __init__(self, binary, number, sites):
        self.command = [binary, "simulate", "--cases"]
        self.environment = variables(number, sites)
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=self.environment, preexec_fn=limit_memory)

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        self.process = None

    def run(self, scenario, seed, patience=60):
        """Runs a case. Returns its hash and the oracle that failed, or `trap` or `endless` as its hash."""
        if not self.process:
            self.start()
        case = {"scenario": json.loads(scenario), "first": seed, "last": seed}
        try:
            self.process.stdin.write((json.dumps(case) + "\n").encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            self.stop()
            return "trap", "no-trap"
        text, outcome, deadline = b"", None, time.monotonic() + patience
        while True:
            if not select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))[0]:
                self.stop()
                return "endless", "ends"
            part = os.read(self.process.stdout.fileno(), 1 << 20)
            if not part:
                self.stop()
                return "trap", "no-trap"
            text += part
            *lines, text = text.split(b"\n")
            for line in lines:
                value = json.loads(line)
                if "result" in value:
                    violations = value["result"]["violations"]
                    outcome = value["result"]["hash"], violations[0]["oracle"] if violations else None
                elif "refused" in value:
                    outcome = "refused", None
                elif "done" in value:
                    return outcome


def scenarios(binary, first, count):
    """Drawn scenarios, and their seeds."""
    text = subprocess.run(
        [binary, "fuzz", "--dry-run", "--seeds", str(count), "--first", str(first)], check=True, capture_output=True,
        text=True).stdout
    lines = [line for line in text.split("\n") if line.startswith("{")]
    assert len(lines) == count, f"{count} scenarios were asked for, {len(lines)} drawn"
    return [(line, first + number) for number, line in enumerate(lines)]


class Baseline:
    """Runs of the original: the hash of each, and the sites that it reached."""

    def __init__(self, binary, cases, sites):
        self.cases, self.hashes, self.reached, self.failed = cases, [], [], []
        runner = Runner(binary, None, sites)
        for scenario, seed in cases:
            sites.clear()
            value, oracle = runner.run(scenario, seed)
            self.hashes.append(value)
            self.reached.append(sites.reached())
            if oracle:
                self.failed.append((seed, oracle))
        runner.stop()

    def reaching(self, number):
        return [index for index, sites in enumerate(self.reached) if number in sites]


class Verdict:
    """What became of a mutant."""

    def __init__(self):
        self.oracle = None
        self.runs = 0
        self.seconds = 0.0
        # Runs that reached the site, runs that were compared, and those of them that differed.
        self.reached = 0
        self.compared = 0
        self.different = 0
        self.was_reached = False

    @property
    def kind(self):
        if self.oracle:
            return "found"
        if not self.was_reached:
            return "never entered"
        return "no difference" if self.different == 0 else "differs"


def search(binary, number, sites, first, seconds, folder):
    """Runs `parley fuzz` until the first failure. Returns its oracle, the runs and the seconds."""
    os.makedirs(folder, exist_ok=True)
    command = [binary, "fuzz", "--time", f"{seconds}s", "--first", str(first), "--jobs", "1", "--out", folder,
               "--shrink-time", "1ms"]
    begin = time.monotonic()
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env=variables(number, sites), preexec_fn=limit_memory, start_new_session=True)
    oracle, runs = None, 0
    # A mutant may keep the search itself from ending.
    late = threading.Event()

    def end():
        late.set()
        try:
            os.killpg(process.pid, 9)
        except ProcessLookupError:
            pass

    timer = threading.Timer(2 * seconds + 60, end)
    timer.start()
    try:
        for line in process.stdout:
            failed = re.match(r"FAILED scenario (\d+)(.*)", line)
            if failed:
                runs = int(failed.group(1)) - first + 1
                if "could not run" in failed.group(2):
                    oracle = "could not run"
                    break
            elif runs and (named := re.match(r"  ([a-z0-9-]+): ", line)):
                oracle = named.group(1)
                break
            elif end := re.match(r"(\d+) passed, (\d+) failed", line):
                runs = int(end.group(1)) + int(end.group(2))
    finally:
        timer.cancel()
        seconds = time.monotonic() - begin
        try:
            os.killpg(process.pid, 9)
        except ProcessLookupError:
            pass
        process.wait()
        process.stdout.close()
    return oracle or ("ends" if late.is_set() else None), runs, seconds


def judge(binary, number, count, baseline, first, seconds, scratch, comparisons):
    """Searches for a mutant. Compares a survivor with the original, in runs that reach its site."""
    sites = Sites(os.path.join(scratch, f"sites-{number}"), count)
    verdict = Verdict()
    verdict.oracle, verdict.runs, verdict.seconds = search(
        binary, number, sites, first, seconds, os.path.join(scratch, "out", str(number)))
    reaching = baseline.reaching(number)
    verdict.was_reached = bool(reaching) or number in sites.reached()
    verdict.reached = len(reaching)
    if not verdict.oracle:
        runner = Runner(binary, number, sites)
        for index in reaching[:comparisons]:
            value, _ = runner.run(*baseline.cases[index])
            verdict.compared += 1
            verdict.different += value != baseline.hashes[index]
        runner.stop()
    os.remove(sites.path)
    return verdict
