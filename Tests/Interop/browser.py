"""A headless Chromium, controlled over the Chrome DevTools Protocol."""

import base64
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
    """The path of Chromium. Tests that need it fail without it; `scripts/interop` installs it."""
    if path := shutil.which("chromium") or shutil.which("google-chrome"):
        return path
    raise RuntimeError("Chromium is needed (Debian: apt-get install chromium)")


class Browser:
    """A browser process with these flags. Each page has its own cookies and storage."""

    def __init__(self, *flags):
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        # Chromium's sandbox does not work for root, as which CI runs.
        self.process = subprocess.Popen(
            [find(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--remote-debugging-port=0", "--remote-allow-origins=*", f"--user-data-dir={self.folder.name}", *flags, "about:blank"],
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


# WCAG success criteria 1.4.3 (text: 4.5, large text: 3) and 1.4.11 (edges of inputs: 3). Colours
# are blended with the background according to their alpha and opacity.
CONTRAST = """(() => {
  const parse = text => { const n = text.match(/[\\d.]+/g).map(Number); return { rgb: n.slice(0, 3), alpha: n.length > 3 ? n[3] : 1 }; };
  const blend = (top, alpha, below) => top.map((value, i) => value * alpha + below[i] * (1 - alpha));
  const luminance = rgb => { const [r, g, b] = rgb.map(v => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ratio = (a, b) => { const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x); return (high + 0.05) / (low + 0.05); };
  const dark = matchMedia('(prefers-color-scheme: dark)').matches;
  const ground = element => {
    if (!element) return dark ? [18, 18, 18] : [255, 255, 255];
    const color = parse(getComputedStyle(element).backgroundColor);
    return color.alpha === 1 ? color.rgb : blend(color.rgb, color.alpha, ground(element.parentElement));
  };
  const opacity = element => element ? Number(getComputedStyle(element).opacity) * opacity(element.parentElement) : 1;
  const found = [];
  const check = (what, element, color, needed, below) => {
    const { rgb, alpha } = parse(color);
    const reached = ratio(blend(rgb, alpha * opacity(element), below), below);
    if (reached < needed) found.push(what + ' ' + element.tagName + ' ' + (element.id || element.className) + ' ' + reached.toFixed(2));
  };
  for (const element of document.querySelectorAll('body *')) {
    if (!element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const large = parseFloat(style.fontSize) >= 24 || parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700;
    const needed = large ? 3 : 4.5;
    if ([...element.childNodes].some(node => node.nodeType === 3 && node.data.trim())) check('text', element, style.color, needed, ground(element));
    if (element.tagName === 'INPUT') {
      check('edge', element, style.borderTopColor, 3, ground(element.parentElement));
      if (element.placeholder) check('placeholder', element, getComputedStyle(element, '::placeholder').color, 4.5, ground(element));
    }
  }
  return found;
})()"""


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
        """Types text with an event for each key, as a person does."""
        self.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")
        self.call("Input.insertText", text=text)

    def press(self, key, code):
        """Presses a key that writes nothing, by its name and its virtual key code."""
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def press_enter(self):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r")

    def scheme(self, name):
        """Sets the preferred colour scheme to `light` or `dark`."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def low_contrast(self):
        """Returns the texts and edges of controls with less contrast than WCAG 2.2 AA requires."""
        return self.evaluate(CONTRAST)

    def accessible(self, selector):
        """Returns an element's role, name and description in the accessibility tree."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        found = self.call("Accessibility.getPartialAXTree", nodeId=node, fetchRelatives=False)["nodes"][0]
        return tuple(found.get(key, {}).get("value", "") for key in ("role", "name", "description"))

    def screenshot(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    @property
    def complaints(self):
        self.evaluate("0")
        return self.connection.complaints
