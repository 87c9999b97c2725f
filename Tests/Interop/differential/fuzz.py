"""Compares the embedded broker with RabbitMQ. See scripts/amqp-differential."""

import argparse
import difflib
import json
import os
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import rabbit  # noqa: E402
from broker import Broker  # noqa: E402
from differential import fixture  # noqa: E402
from differential.freedoms import first_difference, first_unequal, freed  # noqa: E402
from differential.grammar import Grammar  # noqa: E402
from differential.player import Player, TooSlow  # noqa: E402

STEPS = 40
# How often a sequence is played again when the machine was too slow for its times.
ATTEMPTS = 6


def play(port, steps):
    """Returns what clients see of a sequence, a list of lines for each step."""
    for _ in range(ATTEMPTS):
        player = Player(port)
        try:
            return player.play(steps)
        except TooSlow:
            pass
        finally:
            player.close()
    raise TooSlow


class Pair:
    """Both brokers."""

    def __init__(self):
        os.environ.setdefault("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+sbwt none +sbwtdcpu none +sbwtdio none")
        self.threads = ThreadPoolExecutor(1)
        # Whether the latest sequence was not equal after a shared end (FREEDOMS).
        self.excused = False
        self.rabbit = rabbit.Rabbit().start()
        self.start()

    def start(self):
        self.parley = Broker().__enter__()

    def compare(self, steps):
        """Returns the number of the first step that differs and both transcripts, or None."""
        number, ours, theirs = self.play(steps)
        self.excused = number is None and first_unequal(ours, theirs) is not None
        return None if number is None else (number, ours, theirs)

    def play(self, steps):
        """Returns the number of the first step that differs, or None, and both transcripts."""
        theirs = self.threads.submit(play, self.rabbit.port, steps)
        try:
            ours = play(self.parley.port, steps)
        except OSError as error:
            theirs.exception()
            if self.parley.running():
                raise
            ours = [[f"the broker has ended: {error}"]]
            self.parley.__exit__()
            self.start()
        theirs = theirs.result()
        return first_difference(ours, theirs), ours, theirs

    def stop(self):
        self.parley.__exit__()
        self.rabbit.stop()


def shrink(pair, steps, end):
    """Returns the shortest sequence that was found to differ, within some time."""
    def differs(candidate):
        try:
            return time.monotonic() < end and pair.compare(candidate) is not None
        except TooSlow:
            return False

    size = len(steps) // 2
    while size:
        at = 0
        while at < len(steps):
            candidate = steps[:at] + steps[at + size:]
            if candidate and differs(candidate):
                steps = candidate
            else:
                at += size
        size //= 2
    for number, (client, method, fields) in enumerate(steps):
        for key in list(fields):
            for changed in simpler(fields, key):
                candidate = [*steps[:number], [client, method, changed], *steps[number + 1:]]
                if differs(candidate):
                    steps, fields = candidate, changed
                    break
    return steps


def simpler(fields, key):
    """Yields the fields without one of them, or without a part of one."""
    if key not in ("queue", "exchange", "type", "body", "which", "source", "destination", "consumer_tag", "routing_key"):
        yield {k: v for k, v in fields.items() if k != key}
    if isinstance(fields[key], dict):
        for inner in fields[key]:
            yield {**fields, key: {k: v for k, v in fields[key].items() if k != inner}}


def script(steps):
    return "".join(json.dumps(step) + "\n" for step in steps)


def report(steps, difference):
    """Returns the script up to the first difference, and the lines of its last step: `-` those that
    only RabbitMQ shows, `+` those that only the embedded broker shows."""
    number, ours, theirs = difference
    lines = difflib.ndiff(freed(theirs[number]), freed(ours[number] if number < len(ours) else []))
    return script(steps[:number + 1]) + "\n".join(line for line in lines if not line.startswith("?")) + "\n"


def search(pair, options):
    passed, failed, slow, open_answers, excused = 0, 0, 0, 0, 0
    end = time.monotonic() + options.time
    seed = options.seed
    while time.monotonic() < end and failed < options.differences:
        draw = random.Random(seed)
        steps = Grammar(draw, options.without).steps(draw.randrange(6, STEPS))
        try:
            difference = pair.compare(steps)
            if difference:
                number, ours, theirs = pair.play(steps)
                again = None if number is None else (number, ours, theirs)
                if again is None and first_difference(ours, difference[1]) is None:
                    # FREEDOMS: RabbitMQ has given both answers, one of them as the embedded broker.
                    open_answers += 1
                elif again is None:
                    print(f"seed {seed}: differs in one of two runs, at step {difference[0]}")
                    print(report(steps, difference), flush=True)
                    failed += 1
                else:
                    steps = steps[:max(difference[0], again[0]) + 1]
                    small = shrink(pair, steps, time.monotonic() + options.shrink)
                    print(f"seed {seed}")
                    print(report(small, pair.compare(small) or again), flush=True)
                    failed += 1
            else:
                passed += 1
                excused += pair.excused
        except TooSlow:
            slow += 1
        seed += 1
    if slow:
        print(f"{slow} sequences were not compared: the machine was too slow for their times")
    if open_answers:
        print(f"{open_answers} sequences have several answers of RabbitMQ")
    if excused:
        print(f"{excused} sequences were not equal after the end of a connection whose channels share a queue")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def main():
    options = argparse.ArgumentParser(prog="amqp-differential", description=__doc__)
    options.add_argument("--time", type=float, default=60, help="seconds to search")
    options.add_argument("--seed", type=int, default=1, help="the first seed")
    options.add_argument("--without", type=lambda names: names.split(","), default=[], help="features that are not drawn, with commas between them")
    options.add_argument("--differences", type=int, default=1, help="how many differences end the search")
    options.add_argument("--shrink", type=float, default=60, help="seconds to shrink a difference")
    options.add_argument("--script", help="plays the steps of a file, one a line, instead of a search")
    options.add_argument("--record", action="store_true", help="writes RabbitMQ's answers to the fixture; with --seed 0 to the sequences of chosen.py alone")
    options = options.parse_args()
    pair = Pair()
    try:
        if options.record:
            print(f"{fixture.record(play, pair.rabbit.port, options.seed)} sequences")
            return 0
        if not options.script:
            return search(pair, options)
        with open(options.script) as file:
            steps = [json.loads(line) for line in file if line.startswith("[")]
        difference = pair.compare(steps)
        for step, ours, theirs in zip(steps, play(pair.parley.port, steps), play(pair.rabbit.port, steps)):
            print(json.dumps(step), *(freed(theirs) if freed(ours) == freed(theirs) else difflib.ndiff(freed(theirs), freed(ours))), sep="\n    ")
        return 1 if difference else 0
    finally:
        pair.stop()


if __name__ == "__main__":
    sys.exit(main())
