"""The operators' page in a headless Chromium, also on a phone, with live updates."""

import json
import os
import unittest

import pika

import browser
from harness import Client, Server
from test_sessions import Customer, User, until


class Operator(unittest.TestCase):
    def test_page(self):
        server = Server(services=("broker", "users", "manager", "supervisor", "chat", "customers")).start()
        self.addCleanup(server.folder.cleanup)
        self.addCleanup(server.kill)
        chromium = browser.Browser()
        self.addCleanup(chromium.close)
        pages = [chromium.page(server.urls["manager"] + "/", **size)
                 for size in ({"width": 1280, "height": 800}, {"width": 390, "height": 800})]
        for page in pages:
            page.wait("document.querySelector('#state').textContent === 'live'")
        users = [User(server.ports["chat"], name) for name in ("Ann", "Bob", "Cid")]
        customer = Customer(server, "Dora")
        self.assertEqual(customer.request(2)[0], 200)
        until(lambda: customer.initialize()[0] == 200)
        for page in pages:
            page.wait("document.querySelector('#supervisors').textContent.includes('running')")
            page.wait("document.querySelectorAll('#users tr').length === 4")
            page.wait("document.querySelector('#queues').textContent.includes('SSE_s1_UM')")
            page.wait("document.querySelector('#supervisors').textContent.includes('Dora@example.com')")
            page.wait("document.querySelector('#users').textContent.includes('Cid')")
            self.assertEqual(page.evaluate("document.documentElement.scrollWidth > innerWidth"), False)
            self.assertEqual(page.complaints, [])
            for scheme in ("light", "dark"):
                page.scheme(scheme)
                self.assertEqual(page.low_contrast(), [], scheme)
        if folder := os.environ.get("PARLEY_PICTURES"):
            pages[0].screenshot(f"{folder}/operator-desk.png")
            pages[1].screenshot(f"{folder}/operator-phone.png")
        for service in ("users", "chat", "customers", "manager"):
            page = chromium.page(server.urls[service] + "/docs", width=390, height=800)
            for scheme in ("light", "dark"):
                page.scheme(scheme)
                self.assertEqual(page.low_contrast(), [], (service, scheme))
            self.assertEqual(page.evaluate("document.documentElement.scrollWidth > innerWidth"), False)
            self.assertEqual(page.complaints, [])
            if folder := os.environ.get("PARLEY_PICTURES"):
                page.screenshot(f"{folder}/docs-{service}.png")
        self.check_history(server, pages[0])
        self.check_keyboard(pages[1])
        for user in users:
            user.socket.disconnect()
        pages[0].wait("document.querySelectorAll('#users tr').length === 2 && document.querySelector('#users').textContent.includes('none')")

    def check_history(self, server, page):
        """A queue that grows shows its rate, and a plot that rises at its end."""
        broker = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", server.ports["broker"]))
        channel = broker.channel()
        row = "[...document.querySelectorAll('#queues tr')].find(row => row.cells[0].textContent === 'PARLEY_DEAD_LETTER')"
        page.wait(row + " !== undefined")
        self.assertEqual(page.evaluate(row + ".cells[1].textContent"), "0")
        for _ in range(5):
            channel.basic_publish("", "PARLEY_DEAD_LETTER", b"x")
        page.wait(row + ".cells[1].textContent === '5'")
        page.wait("/^\\+\\d/.test(" + row + ".cells[2].textContent)")
        points = page.evaluate(row + ".querySelector('polyline').getAttribute('points')").split()
        heights = [float(point.split(",")[1]) for point in points]
        self.assertEqual((heights[0], heights[-1]), (19.0, 1.0))
        self.assertEqual(page.evaluate(row + ".querySelector('svg').getAttribute('aria-label')"),
                         "the last two minutes: 0 to 5")
        # In ten seconds the queue has come to rest.
        page.wait(row + ".cells[2].textContent === '0.0'", timeout=20)
        broker.close()

    def check_keyboard(self, page):
        """Each table that is wider than a phone can be reached and scrolled by keys."""
        regions = []
        for _ in range(60):
            page.press("Tab", 9)
            name = page.evaluate("document.activeElement.getAttribute('aria-labelledby')")
            self.assertTrue(page.evaluate("document.activeElement.matches(':focus-visible')"))
            if name:
                regions.append(name)
            if name == "users-title":
                page.press("ArrowRight", 39)
                page.wait("document.activeElement.scrollLeft > 0")
            if name == "queues-title":
                break
        self.assertEqual(regions, ["supervisors-title", "users-title", "hosts-title", "queues-title"])


class Actions(unittest.TestCase):
    """What an operator does on the page, at both widths."""

    SERVICES = ("broker", "users", "manager", "supervisor", "chat", "customers")

    def start(self, *flags, width=1280):
        server = Server(*flags, services=self.SERVICES, secret=None).start()
        self.addCleanup(server.folder.cleanup)
        self.addCleanup(server.kill)
        chromium = browser.Browser()
        self.addCleanup(chromium.close)
        page = chromium.page(server.urls["manager"] + "/", width=width, height=800)
        page.wait("document.querySelector('#state').textContent === 'live'")
        return server, page

    def operator_token(self, server):
        with open(server.data + "/operator-manager.json") as file:
            return json.load(file)["token"]

    def sign_in(self, page, token):
        page.wait("document.querySelector('#sign-in').open")
        self.check_looks(page, "sign-in")
        page.fill("#sign-in-token", token)
        page.press_enter()

    def confirm(self, page, *words):
        """Reads the dialog that says what will happen, and agrees."""
        page.wait("document.querySelector('#confirm').open")
        self.assertEqual(page.accessible("#confirm")[0], "dialog")
        text = page.evaluate("document.querySelector('#confirm').innerText")
        for word in words:
            self.assertIn(word, text)
        self.assertIn(page.accessible("#confirm")[1], text)
        self.check_looks(page, "confirm")
        page.click("#confirm-yes")
        page.wait("!document.querySelector('#confirm').open")

    def check_looks(self, page, name):
        self.assertFalse(page.evaluate("document.documentElement.scrollWidth > innerWidth"))
        for scheme in ("light", "dark"):
            page.scheme(scheme)
            self.assertEqual(page.low_contrast(), [], (name, scheme))
            if folder := os.environ.get("PARLEY_PICTURES"):
                page.screenshot(f"{folder}/operator-{name}-{page.evaluate('innerWidth')}-{scheme}.png")

    def press(self, page, name):
        """Presses the button of this name, as the accessibility tree has it."""
        page.evaluate(f"document.querySelector('button[aria-label={json.dumps(name)}]').click()")

    def test_sessions_desk(self):
        self.sessions(1280)

    def test_sessions_phone(self):
        self.sessions(390)

    def sessions(self, width):
        server, page = self.start(width=width)
        users = [User(server.ports["chat"], name) for name in ("Ann", "Bob")]
        customer = Customer(server, "Dora")
        self.assertEqual(customer.request(2)[0], 200)
        until(lambda: customer.initialize()[0] == 200)
        page.wait("document.querySelector('#supervisors').textContent.includes('Ann (')")
        self.assertEqual(users[0].say("hello from Ann")["status"], "ok")
        until(lambda: len(customer.transcript()) == 1)
        button = "document.querySelector('button[aria-label=\"Transcript of s1\"]')"
        page.evaluate(f"window.before = {button}; before.focus()")
        # The page is drawn again each second, and the focus stays.
        page.evaluate("new Promise(done => setTimeout(done, 2500))")
        self.assertTrue(page.evaluate(f"document.activeElement === before && {button} === before"))
        page.press_enter()
        self.sign_in(page, "not the token of the operators")
        page.wait("document.querySelector('#sign-in-error').textContent.includes('token is required')")
        self.sign_in(page, self.operator_token(server))
        page.wait("document.querySelector('#transcript').open")
        self.assertIn("1. Ann (", page.evaluate("document.querySelector('#transcript-list').innerText"))
        self.assertIn("hello from Ann", page.evaluate("document.querySelector('#transcript-list').innerText"))
        self.assertEqual(page.evaluate("document.querySelector('#transcript-note').textContent"), "1 of 1 message")
        self.assertEqual(page.accessible("#transcript")[:2], ("dialog", "Transcript of s1"))
        self.check_looks(page, "transcript")
        page.press("Escape", 27)
        page.wait("!document.querySelector('#transcript').open && document.activeElement === before")

        self.press(page, "End session s1")
        page.wait("document.querySelector('#confirm').open")
        page.click("#confirm-no")
        self.assertEqual(customer.status(), "RUNNING")
        self.press(page, "End session s1")
        self.confirm(page, "End session s1?", "running", "2 users will be free")
        page.wait("document.querySelector('#notice').textContent === 'Session s1 has ended.'")
        until(lambda: customer.status() == "IDLE")
        page.wait("document.querySelector('#users').textContent.includes('free')")
        self.check_looks(page, "page")
        # What has failed is shown.
        page.evaluate("endSession('s1')")
        page.wait("document.querySelector('#notice').textContent.includes('no such session')")
        self.assertEqual([line for line in page.complaints if "401" not in line and "404" not in line], [])
        for user in users:
            user.socket.disconnect()

    def test_queues(self):
        for width in (1280, 390):
            with self.subTest(width):
                self.queues(width)

    def queues(self, width):
        server, page = self.start(width=width)
        page.evaluate(f"keep({json.dumps(self.operator_token(server))})")
        broker = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", server.ports["broker"]))
        channel = broker.channel()
        channel.confirm_delivery()
        for body in (b"no JSON", b"[]"):
            channel.basic_publish("USER_MANAGER_EXCHANGE", "UME_USER_SERVER", body, pika.BasicProperties(delivery_mode=2))
        channel.queue_declare("work", durable=True, arguments={
            "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "PARLEY_DEAD_LETTER"})
        channel.basic_publish("", "work", b"\xff\xfe", pika.BasicProperties(delivery_mode=2))
        channel.basic_reject(channel.basic_get("work")[0].delivery_tag, requeue=False)
        row = "[...document.querySelectorAll('#queues tr')].find(row => row.cells[0].textContent === 'PARLEY_DEAD_LETTER')"
        page.wait(row + "?.cells[1].textContent === '3'")
        page.click("#show-letters")
        page.wait("document.querySelector('#letters-note').textContent === '3 dead letters.'")
        text = page.evaluate("document.querySelector('#letters').innerText")
        for words in ("UME_USER_SERVER", "not JSON: line 1", "no JSON", "work: rejected, 1 time, last 20", "0xfffe"):
            self.assertIn(words, text)
        self.check_looks(page, "letters")
        self.assertEqual(page.accessible("#letters-queue")[:2], ("combobox", "From"))
        page.evaluate("document.querySelector('#letters-queue').value = 'UME_USER_SERVER'")
        page.click("#replay-letters")
        self.confirm(page, "Replay dead letters?", "2 letters from UME_USER_SERVER replayed", "sets it aside again")
        # The manager still cannot read them.
        page.wait("document.querySelector('#notice').textContent === 'Done: 2 letters from UME_USER_SERVER replayed.'")
        page.wait(row + ".cells[1].textContent === '3'")
        page.click("#show-letters")
        page.wait("document.querySelector('#letters-queue').options.length > 1")
        page.evaluate("document.querySelector('#letters-queue').value = 'UME_USER_SERVER'")
        page.click("#drop-letters")
        self.confirm(page, "Drop dead letters?", "removed for good")
        page.wait(row + ".cells[1].textContent === '1'")
        self.press(page, "Purge queue PARLEY_DEAD_LETTER")
        self.confirm(page, "Purge queue PARLEY_DEAD_LETTER?", "1 ready message will be removed for good")
        page.wait(row + ".cells[1].textContent === '0'")
        page.wait("document.querySelector('#notice').textContent === 'Removed 1 message from PARLEY_DEAD_LETTER.'")
        self.assertEqual(page.complaints, [])
        broker.close()

    def test_accounts(self):
        for width in (1280, 390):
            with self.subTest(width):
                self.accounts(width)

    def accounts(self, width):
        server, page = self.start(width=width)
        page.evaluate(f"keep({json.dumps(self.operator_token(server))})")
        users, ann = Client(server.ports["users"]), User(server.ports["chat"], "Ann")

        def login():
            return users.send("POST", "/login", {"user": "Ann", "password": "password123"})[0]

        page.wait("document.querySelector('#users').textContent.includes('Ann')")
        self.press(page, f"Account of user {ann.id}")
        page.wait("document.querySelector('#account').innerText.includes('enabled')")
        self.assertEqual(page.evaluate("document.activeElement.id"), "account-title")
        self.assertIn("chat.invalid", page.evaluate("document.querySelector('#account').innerText"))
        self.check_looks(page, "account")
        self.press(page, "Disable Ann")
        self.confirm(page, "Disable Ann?", "It can log in no more", "1 session end")
        page.wait("document.querySelector('#account').innerText.includes('disabled')")
        page.wait("document.querySelector('#users').textContent.includes('none')")
        self.assertEqual(login(), 401)
        self.press(page, "Enable Ann")
        self.confirm(page, "Enable Ann?")
        page.wait("document.querySelector('#account').innerText.includes('enabled')")
        self.assertEqual(login(), 200)
        page.fill("#account-name", "nobody")
        page.press_enter()
        page.wait("document.querySelector('#notice').className === 'bad'")
        self.assertIn("no account has this id", page.evaluate("document.querySelector('#notice').textContent").lower())
        page.evaluate("document.querySelector('#account-name').value = ''")
        page.fill("#account-name", "Ann")
        page.press_enter()
        page.wait("!document.querySelector('#account').hidden")
        self.press(page, "Revoke Ann")
        self.confirm(page, "End the sessions of Ann?", "log in again, everywhere")
        page.wait("document.querySelector('#notice').textContent === 'Ann has to log in again.'")
        self.press(page, "Set the password of Ann")
        page.wait("document.querySelector('#confirm').open")
        self.assertEqual(page.evaluate("document.activeElement.id"), "new-password")
        page.fill("#new-password", "short")
        page.press_enter()
        page.wait("document.querySelector('#confirm-error').textContent.includes('password')")
        self.assertEqual(login(), 200)
        page.evaluate("document.querySelector('#new-password').value = ''")
        page.fill("#new-password", "another password")
        self.confirm(page, "Set the password of Ann?", "Its tokens and")
        page.wait("document.querySelector('#notice').textContent === 'Ann has a new password.'")
        self.assertEqual(page.evaluate("document.querySelector('#new-password').value"), "")
        self.assertEqual(login(), 401)
        self.assertEqual(users.send("POST", "/login", {"user": "Ann", "password": "another password"})[0], 200)

    def test_service_token(self):
        """With a service token the page asks for it, and it opens all of the page."""
        token = "a service token of sufficient length"
        server = Server("--service-token", token, services=self.SERVICES, secret=None).start()
        self.addCleanup(server.folder.cleanup)
        self.addCleanup(server.kill)
        chromium = browser.Browser()
        self.addCleanup(chromium.close)
        page = chromium.page(server.urls["manager"] + "/", width=390, height=800)
        page.wait("!document.querySelector('#token').hidden")
        page.fill("#secret", token)
        page.press_enter()
        page.wait("document.querySelector('#state').textContent === 'live'")
        user = User(server.ports["chat"], "Ann")
        page.wait("document.querySelector('#users').textContent.includes('Ann')")
        page.evaluate("lookUp('Ann', false)")
        page.wait("document.querySelector('#account').innerText.includes('enabled')")
        user.socket.disconnect()

    def test_authority(self):
        """No request without a token acts, also over loopback, and no other page may send one."""
        with Server(services=self.SERVICES, secret=None) as server:
            client = Client(server.ports["manager"])
            document = client.send("GET", "/openapi.json")[1]
            paths = sorted(path for path in document["paths"] if path.startswith("/operator/"))
            self.assertEqual(len(paths), 11)
            for path in paths:
                for token in (None, "x" * 64, self.operator_token(server)[:-1]):
                    self.assertEqual(client.send("POST", path, {}, token=token)[0], 401, path)
                self.assertNotIn(client.send("POST", path, {}, token=self.operator_token(server))[0], (401, 403), path)
                client.connection.request("OPTIONS", path, headers={
                    "Origin": "http://evil.example", "Access-Control-Request-Method": "POST",
                    "Access-Control-Request-Headers": "authorization"})
                response = client.connection.getresponse()
                response.read()
                self.assertEqual([name for name, _ in response.getheaders() if name.lower().startswith("access-control")], [])


if __name__ == "__main__":
    unittest.main()
