"""A headless Chromium, driven over the Chrome DevTools Protocol."""

import itertools
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import urllib.request

import websocket


def find():
    return shutil.which("chromium") or shutil.which("google-chrome")


class Browser:
    """One process; each page has cookies and storage of its own."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        # Chromium's own sandbox does not work as root, which CI is.
        self.process = subprocess.Popen(
            [find(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--remote-debugging-port=0", "--remote-allow-origins=*", f"--user-data-dir={self.folder.name}", "about:blank"],
            stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if found := re.search(r"DevTools listening on ws://([^/]+)/", line):
                self.address = found[1]
                break
        self.root = Connection(json.load(urllib.request.urlopen(f"http://{self.address}/json/version"))["webSocketDebuggerUrl"])

    def page(self, url, width=1100, height=700):
        context = self.root.call("Target.createBrowserContext")["browserContextId"]
        target = self.root.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        page = Page(Connection(f"ws://{self.address}/devtools/page/{target}"))
        page.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        page.call("Page.enable")
        page.call("Log.enable")
        page.call("Runtime.enable")
        page.call("Page.navigate", url=url)
        page.wait("document.readyState === 'complete' && location.href !== 'about:blank'")
        return page

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        self.folder.cleanup()


class Connection:
    def __init__(self, url):
        self.socket = websocket.create_connection(url, timeout=20)
        self.ids = itertools.count(1)
        self.complaints = []

    def call(self, method, **parameters):
        id = next(self.ids)
        self.socket.send(json.dumps({"id": id, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("method") == "Log.entryAdded" and answer["params"]["entry"]["level"] == "error":
                entry = answer["params"]["entry"]
                self.complaints.append(f"{entry['text']} {entry.get('url', '')}".strip())
            if answer.get("method") == "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(answer["params"]["exceptionDetails"])[:500])
            if answer.get("id") == id:
                if "error" in answer:
                    raise RuntimeError(answer["error"])
                return answer["result"]


class Page:
    def __init__(self, connection):
        self.connection = connection
        self.call = connection.call

    def evaluate(self, script):
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"])[:500])
        return answer["result"].get("value")

    def wait(self, condition, timeout=15):
        end = time.monotonic() + timeout
        while not self.evaluate(condition):
            if time.monotonic() > end:
                raise AssertionError(f"never true: {condition}\n" + self.evaluate("document.body.innerText"))
            time.sleep(0.02)

    def click(self, selector):
        self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")

    def fill(self, selector, text):
        """Types, as a person does: the page hears each key."""
        self.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")
        self.call("Input.insertText", text=text)

    def press_enter(self):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r")

    def screenshot(self, path):
        import base64
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    @property
    def complaints(self):
        self.evaluate("0")
        return self.connection.complaints
