"""Makes mutants of Sources/System by operators, compiles them into one binary, and searches for each.

    scripts/mutants --generated N --seed S [--time SECONDS] [--first NUMBER] [--only NUMBER,…] [--list]
    scripts/mutants --generated N --keys FILE …      those that the lines of a file name, as the summary does

Prints a table, and exits with 1 if fewer than 95 % of those that are not known to be equivalent are found.
"""

import argparse
import json
import os
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import judge
import selection
from scratch import Scratch

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))
EQUIVALENT = os.path.join(ROOT, "Tests/Mutants/equivalent.txt")


def equivalents(path=EQUIVALENT):
    """The mutants that are known to change nothing that a promise speaks of, and the reasons. A line of `#` is a comment;
    a mutant is a line `file | function | operator | line of source`, and its reason is the indented line after it."""
    known, last = {}, None
    with open(path) as file:
        for number, line in enumerate(file, 1):
            if not line.strip() or line.startswith("#"):
                continue
            if line.startswith("  "):
                if last is None:
                    raise SystemExit(f"{path}:{number}: a reason without a mutant")
                known[last] = line.strip()
                last = None
            else:
                if last is not None:
                    raise SystemExit(f"{path}:{number}: no reason for the mutant before")
                last = line.strip()
    return known


def row(mutant, verdict, known):
    place = f"{mutant.source.path}:{mutant.line}"
    about = mutant.about.replace("|", "\\|")
    if verdict.oracle:
        return f"| {mutant.number} | {place} | {mutant.operator} | {about} | {verdict.oracle} | {verdict.runs} | {verdict.seconds:.0f} |"
    kind = verdict.kind
    if kind == "differs":
        kind = f"differs in {verdict.different} of {verdict.compared} runs"
    elif kind == "no difference":
        kind = f"no difference in {verdict.compared} runs"
    reason = known.get(mutant.key)
    found = f"equivalent: {reason}" if reason else f"**not found**, {kind}"
    return f"| {mutant.number} | {place} | {mutant.operator} | {about} | {found} | {verdict.runs} | {verdict.seconds:.0f} |"


def main():
    parser = argparse.ArgumentParser(prog="scripts/mutants --generated")
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keys", help="file that names the mutants, in place of a seed")
    parser.add_argument("--time", type=int, default=120, help="seconds for each search, on one core")
    parser.add_argument("--first", type=int, default=1_000_000, help="number of the first scenario")
    parser.add_argument("--only", help="numbers of mutants, with commas")
    parser.add_argument("--list", action="store_true", help="print the mutants, and build none")
    parser.add_argument("--built", action="store_true", help="use the last build, which must be of the same mutants")
    parser.add_argument("--runs", type=int, default=200, help="runs of the original to compare with")
    options = parser.parse_args()

    sources = selection.read(os.path.join(ROOT, "Sources/System"))
    # Some do not compile.
    mutants = selection.choose(sources, options.count * 6 // 5 + 2, options.seed)
    if options.keys:
        with open(options.keys) as file:
            mutants = selection.named(sources, {line.strip() for line in file})
    if options.list:
        for mutant in mutants:
            print(f"{mutant.number} {mutant.key}\n  {mutant.about}")
        return 0
    known = equivalents()
    folder = os.path.join(ROOT, ".build/generated")
    built = build(folder, sources, mutants, options.built)
    chosen = built[:options.count]
    if options.only:
        only = {int(number) for number in options.only.split(",")}
        chosen = [mutant for mutant in built if mutant.number in only]

    binary = os.path.join(folder, ".build/release/parley")
    sites = judge.Sites(os.path.join(folder, "sites"), len(mutants))
    cases = judge.scenarios(binary, options.first + 500_000, options.runs)
    baseline = judge.Baseline(binary, cases, sites)
    for seed, oracle in baseline.failed:
        note(f"the source without a mutant fails: {oracle}, seed {seed}")

    print("| | place | operator | change | found by | runs | seconds |")
    print("|---|---|---|---|---|---|---|", flush=True)
    verdicts = {}

    def one(mutant):
        verdict = judge.judge(
            binary, mutant.number, len(mutants), baseline, options.first, options.time, folder, comparisons=20)
        print(row(mutant, verdict, known), flush=True)
        verdicts[mutant.number] = verdict

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, chosen))
    return summary(chosen, verdicts, known)


def build(folder, sources, mutants, is_built):
    """Returns the mutants that compile. They are noted, for `--built`."""
    path = os.path.join(folder, "mutants.json")
    if is_built:
        with open(path) as file:
            keys = {number: key for number, key in json.load(file)}
        built = [mutant for mutant in mutants if keys.get(mutant.number) == mutant.key]
        if len(built) != len(keys):
            raise SystemExit("the last build was of other mutants")
        return built
    scratch = Scratch(ROOT, folder)
    scratch.copy()
    begin = time.monotonic()
    built = scratch.build(sources, mutants)
    with open(path, "w") as file:
        json.dump([(mutant.number, mutant.key) for mutant in built], file)
    note(f"{len(mutants) - len(built)} of {len(mutants)} do not compile; {scratch.builds} builds, {time.monotonic() - begin:.0f} s")
    return built


def summary(chosen, verdicts, known):
    found = [verdicts[m.number] for m in chosen if verdicts[m.number].oracle]
    equivalent = [m for m in chosen if not verdicts[m.number].oracle and m.key in known]
    missed = [m for m in chosen if not verdicts[m.number].oracle and m.key not in known]
    kinds = {}
    for mutant in missed:
        kind = verdicts[mutant.number].kind
        kinds[kind] = kinds.get(kind, 0) + 1
    print()
    judged = len(found) + len(missed)
    share = 100 * len(found) / judged if judged else 0
    median = statistics.median(v.seconds for v in found) if found else 0
    print(f"{len(found)} of {judged} found ({share:.1f} %), the median after {median:.1f} s; {len(equivalent)} equivalent")
    print("not found: " + (", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "none"))
    for mutant in missed:
        print(f"  {mutant.key}")
    return 0 if share >= 95 else 1


def note(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
