"""Tasks of a Celery worker with its default settings."""

import os

import celery

app = celery.Celery("tasks", broker=os.environ["BROKER"], backend="rpc://")


@app.task
def add(a, b):
    return a + b


@app.task(bind=True, max_retries=2)
def flaky(self):
    if self.request.retries < 2:
        raise self.retry(countdown=0.1)
    return self.request.retries


@app.task
def broken():
    raise ValueError("on purpose")
