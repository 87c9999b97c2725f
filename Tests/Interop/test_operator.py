"""The operators' page in a headless Chromium, also on a phone, with live updates."""

import os
import unittest

import pika

import browser
from harness import Server
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
        reached = []
        for _ in range(4):
            page.press("Tab", 9)
            reached.append(page.evaluate("document.activeElement.getAttribute('aria-labelledby')"))
        self.assertEqual(reached, ["supervisors-title", "users-title", "hosts-title", "queues-title"])
        self.assertTrue(page.evaluate("document.activeElement.matches(':focus-visible')"))
        page.press("ArrowRight", 39)
        page.wait("document.activeElement.scrollLeft > 0")


if __name__ == "__main__":
    unittest.main()
