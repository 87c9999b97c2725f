"""A pytest plugin that appends the outcome of each test to the file OUTCOMES: `passed`, `failed`
or `skipped`, a tab, and the test's id. A test has failed if its setup, call or teardown has."""

import os

LISTED = {}


def pytest_runtest_logreport(report):
    if report.failed:
        LISTED[report.nodeid] = "failed"
    elif report.skipped:
        LISTED.setdefault(report.nodeid, "skipped")
    elif report.when == "call":
        LISTED.setdefault(report.nodeid, "passed")
    if report.when == "teardown":
        with open(os.environ["OUTCOMES"], "a", encoding="utf-8") as file:
            file.write(f"{LISTED.pop(report.nodeid, 'passed')}\t{report.nodeid}\n")


def pytest_collectreport(report):
    if report.failed:
        with open(os.environ["OUTCOMES"], "a", encoding="utf-8") as file:
            file.write(f"failed\t{report.nodeid} (not collected)\n")
