"""Runs the files of this folder in two processes side by side, since most tests wait most of the
time. Prints the output of each file when it has ended, and how long it took.

Words are the names of files to run, as in `run.py test_chat test_amqp`; without any all run."""

import concurrent.futures
import pathlib
import subprocess
import sys
import time

FOLDER = pathlib.Path(__file__).parent
# These take longest, and begin first.
LONG = ["test_postgresql", "test_hostile", "test_docs", "test_postgres_users", "test_tls"]
# They compare processor times, and run alone after all others.
ALONE = ["test_doubling"]


def run(name):
    begin = time.monotonic()
    command = ["-W", "ignore::ResourceWarning", "-m", "unittest", "discover", "--start-directory", str(FOLDER),
               "--pattern", name + ".py", "--verbose"]
    answer = subprocess.run([sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    print(f"=== {name}: {time.monotonic() - begin:.0f} s\n{answer.stdout}", flush=True)
    return name, answer.returncode


def main():
    names = sys.argv[1:] or sorted(path.stem for path in FOLDER.glob("test_*.py"))
    early = [name for name in LONG if name in names]
    others = [name for name in names if name not in LONG + ALONE]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = list(pool.map(run, early + others))
    results += [run(name) for name in ALONE if name in names]
    failed = [name for name, status in results if status != 0]
    print(f"{len(results) - len(failed)} files passed, {len(failed)} failed{': ' + ', '.join(failed) if failed else ''}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
