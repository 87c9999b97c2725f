"""RabbitMQ's answers to chosen sequences, in the order of `Tests/Fixtures/amqp-answers.json`."""

import json
import os
import random
import re

from differential.chosen import CHOSEN
from differential.freedoms import freed
from differential.grammar import Grammar
from differential.player import TooSlow

HERE = os.path.dirname(os.path.abspath(__file__))
PATH = os.path.join(HERE, "..", "..", "Fixtures", "amqp-answers.json")
KNOWN = os.path.join(HERE, "known-differences.txt")
COUNT, STEPS, WAITS, DRAWN = 40, 30, 3, 300


def read():
    with open(PATH) as file:
        return json.load(file)


def known():
    """Returns the reason for each seed whose answers are known to differ."""
    with open(KNOWN) as file:
        lines = [line.strip() for line in file if line.strip() and not line.startswith("#")]
    return {int(seed): reason for seed, reason in (line.split(" ", 1) for line in lines)}


def shown(steps, answers):
    """Returns the features and answers that a sequence shows, each with a weight, to choose sequences
    that differ. Messages and their deaths weigh more than errors."""
    shown = {}
    arguments = sorted({key for _, method, fields in steps if method == "queue.declare" for key in fields["arguments"]})
    for (_, method, fields), lines in zip(steps, answers):
        words = {f"{key}={value}" if isinstance(value, bool) else key for key, value in fields.items()}
        words |= {f"{key}={value}" for part in ("arguments", "properties") for key, value in (fields.get(part) or {}).items()}
        answer = ",".join(sorted({re.sub(r"\{.*", "", line.split(": ", 1)[1]).strip() for line in lines if not line.startswith("queue ")}))
        weight = 1 if "close " in answer else 3
        shown.update({(method, word, answer): weight for word in words})
        for reason in re.findall(r"'reason': '([a-z_]+)'", " ".join(lines)):
            shown.update({(reason, method, key): 8 for key in arguments})
        for count in re.findall(r"'count': ([0-9]+)", " ".join(lines)):
            shown["deaths", count] = 8
    return shown


def record(play, port, seed):
    """Draws sequences, plays each twice, and keeps those that show the most, the shorter first. With
    the seed 0 the drawn sequences stay, and those that are written by hand are played."""
    # Those that are written by hand have seeds below 1.
    chosen = [(-number, [[step, freed(lines)] for step, lines in zip(steps, play(port, steps))]) for number, steps in enumerate(CHOSEN)]
    if seed == 0:
        return write(chosen + [(entry["seed"], entry["steps"]) for entry in read() if entry["seed"] > 0])
    drawn = []
    for number in range(seed, seed + DRAWN):
        print(f"{number - seed} of {DRAWN}", end="\r", flush=True)
        draw = random.Random(number)
        steps = Grammar(draw).steps(draw.randrange(8, STEPS))
        if sum(step[1] == "wait" for step in steps) > WAITS:
            continue
        try:
            answers = play(port, steps)
            if freed_all(answers) == freed_all(play(port, steps)):
                drawn.append((number, steps, answers, shown(steps, answers)))
        except TooSlow:
            continue
    seen = set()
    while drawn and len(chosen) < COUNT:
        best = max(drawn, key=lambda one: (sum(weight for token, weight in one[3].items() if token not in seen), -len(one[1])))
        drawn.remove(best)
        seen.update(best[3])
        chosen.append((best[0], [[step, freed(lines)] for step, lines in zip(best[1], best[2])]))
    return write(chosen)


def write(chosen):
    """Writes the fixture. Returns the number of sequences."""
    with open(PATH, "w") as file:
        entries = []
        for number, steps in sorted(chosen, key=lambda one: one[0]):
            lines = map(json.dumps, steps)
            entries.append('{"seed": %d, "steps": [\n  %s]}' % (number, ",\n  ".join(lines)))
        file.write("[" + ",\n".join(entries) + "]\n")
    return len(chosen)


def freed_all(answers):
    return [freed(lines) for lines in answers]
