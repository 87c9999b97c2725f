"""The fenced blocks and commands of a Markdown file, and how a test bounds a command that runs long."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
LANGUAGES = {"sh", "text", "json5", "swift"}
# These take minutes by design. CI runs them, so here they only have to be there.
LONG = ("scripts/test", "scripts/bench", "scripts/mutants", "scripts/fuzz-inputs", "scripts/release", ".ci/run")


def blocks(path):
    """`(language, text)` of each fenced block."""
    return re.findall(r"^```(\S*)\n(.*?)^```$", path.read_text(), re.M | re.S)


def commands(text):
    """The commands of a shell block, one a line, without comments."""
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [line for line in (re.sub(r"(^|\s)#.*", "", line).strip() for line in lines) if line]


def inline(path):
    """The commands in the prose. Those with a placeholder (`FILE`, `…`, `[NAME]`) are forms, and no commands."""
    prose = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.M | re.S)
    found = re.findall(r"`((?:scripts/|parley |\.ci/)[^`]+)`", prose)
    found = [" ".join(command.split()) for command in found]
    return [command for command in found if not re.search(r"…|\[|\b[A-Z]{3,}\b", command)]


def bounded(command):
    """The same command over fewer seeds, runs and seconds."""
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
