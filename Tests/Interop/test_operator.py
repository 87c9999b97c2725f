"""The operators' page in a headless Chromium, also on a phone, with live updates."""

import os
import unittest

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
        pages = [chromium.page(server.urls["manager"] + "/", **size) for size in ({}, {"width": 390, "height": 800})]
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
        for user in users:
            user.socket.disconnect()
        pages[0].wait("document.querySelectorAll('#users tr').length === 2 && document.querySelector('#users').textContent.includes('none')")


if __name__ == "__main__":
    unittest.main()
