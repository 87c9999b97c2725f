"""Celery with its defaults: a worker process, results over `rpc://`, remote control and events."""

import os
import subprocess
import sys

import pytest

import celery_tasks

SECONDS = 30


@pytest.fixture(scope="module")
def worker():
    with open("worker.log", "w") as log:
        process = subprocess.Popen([sys.executable, "-m", "celery", "--app", "celery_tasks", "worker", "--concurrency", "1", "--loglevel", "info"],
                                   env={**os.environ, "PYTHONPATH": os.getcwd(), "C_FORCE_ROOT": "1"}, stdout=log, stderr=log)
    yield process
    process.terminate()
    assert process.wait(SECONDS) == 0


def test_tasks(worker):
    assert celery_tasks.add.delay(2, 3).get(timeout=SECONDS) == 5
    results = [celery_tasks.add.delay(n, n) for n in range(50)]
    assert [result.get(timeout=SECONDS) for result in results] == [2 * n for n in range(50)]


def test_a_task_that_is_retried(worker):
    assert celery_tasks.flaky.delay().get(timeout=SECONDS) == 2


def test_a_task_that_fails(worker):
    with pytest.raises(ValueError, match="on purpose"):
        celery_tasks.broken.delay().get(timeout=SECONDS)


def test_a_countdown(worker):
    assert celery_tasks.add.apply_async((1, 1), countdown=0.5).get(timeout=SECONDS) == 2


def test_remote_control(worker):
    celery_tasks.add.delay(1, 2).get(timeout=SECONDS)
    answers = celery_tasks.app.control.ping(timeout=3)
    assert [list(answer.values()) for answer in answers] == [[{"ok": "pong"}]]
    assert "celery_tasks.add" in next(iter(celery_tasks.app.control.inspect(timeout=3).registered().values()))
