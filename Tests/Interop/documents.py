"""Reads the fenced blocks and commands of Markdown files, and shortens long-running commands for
tests."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
LANGUAGES = {"sh", "text", "json5", "swift", "ini", "yaml"}
# These run for minutes, so the tests only check that they exist. CI runs most of them.
LONG = ("scripts/test", "scripts/bench", "scripts/mutants", "scripts/fuzz-inputs", "scripts/release", "scripts/package", "scripts/interop",
        "scripts/client-suites", "scripts/amqp-differential", "scripts/postgresql-conformance", "scripts/coverage",
        "scripts/races", ".ci/run")


def blocks(path):
    """Returns `(language, text)` of each fenced block, also of those in a list."""
    return re.findall(r"^ *```(\S*)\n(.*?)^ *```$", path.read_text(), re.M | re.S)


def commands(text):
    """Returns the commands of a shell block, one for each line, without comments."""
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [line for line in (re.sub(r"(^|\s)#.*", "", line).strip() for line in lines) if line]


def inline(path):
    """Returns the commands in the prose, except those with a placeholder (`FILE`, `…`,
    `[NAME]`)."""
    prose = re.sub(r"^ *```.*?^ *```$", "", path.read_text(), flags=re.M | re.S)
    found = re.findall(r"`((?:scripts/|parley |\.ci/)[^`]+)`", prose)
    found = [" ".join(command.split()) for command in found]
    return [command for command in found if not re.search(r"…|\[|\b[A-Z]{3,}\b", command)]


def bounded(command):
    """Returns the command with fewer seeds and less time."""
    command = re.sub(r"^scripts/run\s+", "parley ", command)
    command = re.sub(r"--seeds \d+\.\.\.\d+", "--seeds 1...2", command)
    command = re.sub(r"--seeds \d+$", "--seeds 4", command)
    command = re.sub(r"--time \w+", "--time 5s", command)
    if re.match(r"parley simulate [^-]*(scenarios|scenarios/\w+)$", command):
        command += " --seeds 1...2"
    if command.startswith("parley drive"):
        command += " --time 5s"
    if command.startswith("parley fuzz") and "--time" not in command and "--seeds" not in command:
        command += " --time 5s"
    if command.startswith("parley fuzz"):
        command += " --shrink-time 1s"
    return command
