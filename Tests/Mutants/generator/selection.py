"""Chooses mutants: evenly over the rooms of the system, weighted by lines of code."""

import os
import random

from operators import candidates, is_excluded_file
from swift import Source


def read(folder):
    """The sources of the system, without those that are excluded by rule."""
    sources = []
    for path, _, names in os.walk(folder):
        for name in names:
            whole = os.path.join(path, name)
            relative = os.path.relpath(whole, folder)
            if name.endswith(".swift") and not is_excluded_file(relative):
                with open(whole) as file:
                    sources.append(Source(relative, file.read()))
    return sorted(sources, key=lambda source: source.path)


def room(path):
    return path.split("/")[0]


def shares(weights, count):
    """Divides `count` by weights, without a remainder: the largest fractions are rounded up."""
    total = sum(weights.values())
    exact = {key: count * weight / total for key, weight in weights.items()}
    whole = {key: int(value) for key, value in exact.items()}
    rest = sorted(exact, key=lambda key: (whole[key] - exact[key], key))
    for key in rest[:count - sum(whole.values())]:
        whole[key] += 1
    return whole


def choose(sources, count, seed):
    """Chooses mutants that do not overlap. In a room a file is drawn by its lines of code, then an operator, then a place."""
    draw = random.Random(seed)
    weights = {}
    for source in sources:
        weights[room(source.path)] = weights.get(room(source.path), 0) + source.code_lines
    chosen, taken = [], {}
    for name, share in sorted(shares(weights, count).items()):
        files = [source for source in sources if room(source.path) == name]
        places = {}
        for source in files:
            operators = {}
            for candidate in candidates(source):
                operators.setdefault(candidate.operator, []).append(candidate)
            if operators:
                places[source.path] = operators
        files = [source for source in files if source.path in places]
        while share > 0 and files:
            source = draw.choices(files, [source.code_lines for source in files])[0]
            operators = places[source.path]
            operator = draw.choice(sorted(operators))
            candidate = operators[operator].pop(draw.randrange(len(operators[operator])))
            if not operators[operator]:
                del operators[operator]
            if not operators:
                files.remove(source)
            spans = taken.setdefault(source.path, [])
            if any(candidate.start <= end and start <= candidate.end for start, end in spans):
                continue
            spans.append((candidate.start, candidate.end))
            chosen.append(candidate)
            share -= 1
    draw.shuffle(chosen)
    for number, candidate in enumerate(chosen):
        candidate.number = number
    return chosen


def named(sources, keys):
    """The mutants with these keys, without those that overlap."""
    chosen = []
    for source in sources:
        for candidate in candidates(source):
            overlaps = (o for o in chosen if o.source is source and candidate.start <= o.end and o.start <= candidate.end)
            if candidate.key in keys and not any(overlaps):
                candidate.number = len(chosen)
                chosen.append(candidate)
    return chosen
