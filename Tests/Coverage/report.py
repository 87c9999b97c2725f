"""Lists the functions and branches of Sources/System that no run has entered.

    report.py search|check FOLDER      reads FOLDER/coverage.json, of `llvm-cov export`

A function is named by its file and its name without types. A branch is a region of the compiler's coverage
map: the body of a function, of a condition, of a case or of a closure. The rules of Tests/Mutants/generator
for code that is not the system's own logic hold here too.
"""

import json
import os
import re
import subprocess
import sys
from collections import defaultdict

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
LIST = os.path.join(ROOT, "Tests/Coverage/never-entered.txt")
sys.path.insert(0, os.path.join(ROOT, "Tests/Mutants/generator"))

from operators import is_excluded_file  # noqa: E402

SYSTEM = "/Sources/System/"


def names(mangled):
    """The names of functions, without types."""
    text = "\n".join(name.split(":")[-1] for name in mangled)
    done = subprocess.run(["swift", "demangle", "--simplified", "--compact"], input=text, capture_output=True, text=True, check=True)
    return [simple(name) for name in done.stdout.rstrip("\n").split("\n")]


def simple(name):
    """`closure #1 in FanOut.sweep()` of `closure #1 @Sendable (A) async -> B in FanOut.sweep() async`."""
    name = re.sub(r"\(in _[0-9A-F]+\)|\bin _[0-9A-F]{32}\b", "", name)
    parts = []
    for part in re.split(r" in (?=[A-Za-z(])", name):
        head = re.match(r"(?:static )?(?:implicit )?(?:closure|autoclosure|default argument|variable initialization expression|defer).*?(?:#\d+)?(?= |$)", part)
        parts.append(re.sub(r"\s+(?:@|\().*", "", part) if head and "#" in part else re.sub(r"\(.*", "", part))
    return " in ".join(part.strip() for part in parts if part.strip())


def read(folder):
    """The regions of each file: (line, column) → how often it was entered; and those of each function."""
    with open(os.path.join(folder, "coverage.json")) as file:
        functions = json.load(file)["data"][0]["functions"]
    functions = [f for f in functions if SYSTEM in f["filenames"][0]]
    regions, entries = defaultdict(dict), defaultdict(int)
    for function, name in zip(functions, names([f["name"] for f in functions])):
        path = function["filenames"][0].split(SYSTEM)[1]
        if is_excluded_file(path):
            continue
        entries[path, name] += function["count"]
        for line, column, end, end_column, count, _, _, kind in function["regions"]:
            if kind == 0:
                place = (line, column, end, end_column)
                regions[path][place] = regions[path].get(place, 0) + count
    return regions, entries


def reasons(path=LIST):
    """The functions that no run enters, by file and name, and why. A line that starts with `#` is a comment."""
    known, last = {}, None
    with open(path) as file:
        for number, line in enumerate(file, 1):
            if not line.strip() or line.startswith("#"):
                continue
            if line.startswith("  "):
                if not last:
                    raise SystemExit(f"{path}:{number}: a reason without a function")
                for key in last:
                    known[key] = line.strip()
                last = None
            else:
                file_name, _, name = line.strip().partition(": ")
                last = (last or []) + [(file_name, name)]
    if last:
        raise SystemExit(f"{path}: {last[0]} has no reason")
    return known


def is_named(key):
    """Closures, default arguments and initial values are part of a function or a type."""
    return not re.search(r"closure|argument|initialization", key[1])


def grows(entries, known):
    """Prints how the functions that no run enters differ from the list. Returns whether some are missing there."""
    never = {key for key, count in entries.items() if count == 0 and is_named(key)}
    for path, name in sorted(never - known.keys()):
        print(f"no run enters {path}: {name}")
    for path, name in sorted(known.keys() - never):
        why = "is entered" if (path, name) in entries else "is gone"
        print(f"{path}: {name} {why}; take it off the list")
    return not never <= known.keys()


def report(regions, entries, folder):
    never = sorted(key for key, count in entries.items() if count == 0)
    total = sum(len(places) for places in regions.values())
    missed = {path: sorted(p for p, count in places.items() if count == 0) for path, places in regions.items()}
    entered = total - sum(map(len, missed.values()))
    with open(os.path.join(folder, "never-entered.txt"), "w") as out:
        out.write("Functions:\n")
        for path, name in never:
            out.write(f"{path}: {name}\n")
        out.write("\nBranches:\n")
        for path in sorted(missed):
            with open(os.path.join(ROOT, "Sources/System", path)) as file:
                lines = file.read().split("\n")
            for line, column, end, end_column in missed[path]:
                text = lines[line - 1][column - 1:] if end > line else lines[line - 1][column - 1:end_column - 1]
                out.write(f"{path}:{line}: {text.strip()[:90]}\n")
    rooms = defaultdict(lambda: [0, 0])
    for path, places in regions.items():
        room = rooms[path.split("/")[0]]
        room[0] += len(places) - len(missed[path])
        room[1] += len(places)
    print("| room | branches | entered |\n|---|---|---|")
    for name, (count, all_) in sorted(rooms.items()):
        print(f"| {name} | {all_} | {100 * count / all_:.1f} % |")
    print(f"{entered} of {total} branches ({100 * entered / total:.1f} %) and {len(entries) - len(never)} of {len(entries)} functions entered")


def main():
    mode, folder = sys.argv[1:]
    regions, entries = read(folder)
    if not regions:
        raise SystemExit("the build has no counters for Sources/System")
    report(regions, entries, folder)
    if mode == "check" and grows(entries, reasons()):
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
