"""The suites: where each comes from, how its address is set, and how it is run."""

import os
import pathlib
import shutil
import subprocess
import sys
import tarfile

HERE = pathlib.Path(__file__).resolve().parent
PYTEST = [sys.executable, "-m", "pytest", "--quiet", "--tb=short", "--disable-warnings", "-p", "outcomes", "-p", "no:cacheprovider",
          "--timeout", "40", "--override-ini", "log_cli=false", "--continue-on-collection-errors"]


class NotRun(Exception):
    """A suite that cannot be had here, with the reason."""


def from_pypi(requirement):
    """Returns a function that unpacks a package's source distribution into a folder."""
    def fetch(folder):
        name = requirement.split("==")[0]
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                        "--no-binary", name, "--dest", folder, requirement], check=True)
        (archive,) = folder.glob("*.tar.gz")
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        archive.unlink()
        (source,) = folder.iterdir()
        return source, requirement.replace("==", " ") + " from PyPI"
    return fetch


def from_mirror(name, revision):
    """Returns a function that clones a revision of the repository `name` in PARLEY_SUITES."""
    def fetch(folder):
        mirror = os.environ.get("PARLEY_SUITES")
        if not mirror:
            raise NotRun(f"PARLEY_SUITES does not name a mirror that holds {name}")
        source = folder / name
        subprocess.run(["git", "clone", "--quiet", f"{mirror.rstrip('/')}/{name}", source], check=True)
        subprocess.run(["git", "-c", "advice.detachedHead=false", "checkout", "--quiet", revision], cwd=source, check=True)
        return source, f"{name} {revision[:12]} from PARLEY_SUITES"
    return fetch


def own(folder):
    shutil.copytree(HERE / "flows", folder / "flows")
    return folder / "flows", "of this project"


def replace(file, old, new):
    """Replaces a suite's address. The address has to be there."""
    text = file.read_text()
    if old not in text:
        raise RuntimeError(f"{file} does not contain {old!r}")
    file.write_text(text.replace(old, new))


class Suite:
    """A suite.

    - `fetch` brings it into a folder, and returns the folder to run it in and its version.
    - `prepare` sets the broker's address, and returns the environment of the run.
    - `command` runs it, and writes a line to OUTCOMES for each test.
    - `own_package` says that the tests come with the client that they test, and not its release.
    """

    def __init__(self, name, fetch, prepare, command, own_package=False):
        self.name, self.fetch, self.prepare, self.command, self.own_package = name, fetch, prepare, command, own_package


class Place:
    """Where the brokers of a run are: the ports of the plain one and of the one over TLS, the
    address of the stand-in for Docker, and the authority of the certificate."""

    def __init__(self, port, tls_port, docker, authority):
        self.port, self.tls_port, self.docker, self.authority = port, tls_port, docker, authority


def pika(source, place):
    for file in sorted((source / "tests" / "acceptance").glob("*.py")) + [source / "tests" / "base" / "async_test_base.py"]:
        if "5672" in file.read_text():
            replace(file, "5672", str(place.port))
    return {}


def py_amqp(source, place):
    # The source distribution leaves out the suite's certificates.
    certificates = source / "t" / "certs"
    certificates.mkdir()
    shutil.copy(place.authority.certificate, certificates / "ca_certificate.pem")
    for name in ("client", "other"):
        certificate, key = place.authority.issue(name, name)
        if name == "client":
            shutil.copy(certificate, certificates / "client_certificate.pem")
            shutil.copy(key, certificates / "client_key.pem")
            shutil.copy(certificate, certificates / "client_certificate_broken.pem")
    # The key of another certificate.
    shutil.copy(key, certificates / "client_key_broken.pem")
    return {"RABBITMQ_HOST": "127.0.0.1", "RABBITMQ_5672_TCP": str(place.port), "RABBITMQ_5671_TCP": str(place.tls_port)}


def containers(source, place):
    return {"DOCKER_HOST": place.docker}


def amqplib(source, place):
    # One of the suite's files reads the address from URL; the others use the client's own default.
    replace(source / "lib" / "connect.js", "? 5672", f"? {place.port}")
    return {"URL": f"amqp://localhost:{place.port}"}


def flows(source, place):
    return {"BROKER": f"amqp://guest:guest@127.0.0.1:{place.port}//"}


def pytest(*paths):
    return lambda outcomes: [*PYTEST, *paths]


def node(*files):
    def command(outcomes):
        if not shutil.which("node"):
            raise NotRun("node is not installed")
        return ["node", "--test", "--test-timeout=20000", f"--test-reporter={HERE / 'outcomes.mjs'}",
                f"--test-reporter-destination={outcomes}", *files]
    return command


SUITES = [
    Suite("pika", from_mirror("pika", "2126d43a76c14fb8d365d96bd1bdcef13dad75b5"), pika, pytest(
        "tests/acceptance/blocking_adapter_test.py", "tests/acceptance/async_adapter_tests.py",
        "tests/acceptance/enforce_one_basicget_test.py", "tests/acceptance/thread_safe_connection_test.py",
        "tests/acceptance/twisted_adapter_tests.py"), own_package=True),
    Suite("aio-pika", from_pypi("aio-pika==10.2.1"), containers, pytest("tests")),
    Suite("py-amqp", from_pypi("amqp==5.4.2"), py_amqp, pytest("t/integration")),
    Suite("amqplib", from_mirror("amqplib", "v2.0.1"), amqplib, node(
        "test/callback_api.test.js", "test/channel_api.test.js", "test/connect.test.js", "test/recovery.test.js"), own_package=True),
    Suite("flows", own, flows, pytest(".")),
]
