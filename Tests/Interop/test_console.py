"""The console in a headless Chromium: two people talk, one loses the connection and catches up."""

import os
import time
import unittest

import browser
from harness import Client, Server


@unittest.skipUnless(browser.find(), "needs Chromium")
class Console(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(services=("users", "chat")).start()
        cls.url = cls.server.urls["chat"] + "/console"
        cls.browser = browser.Browser()

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        cls.server.kill()
        cls.server.folder.cleanup()

    def enter(self, name, **size):
        page = self.browser.page(self.url, **size)
        page.fill("#name", name)
        page.fill("#password", "password123")
        page.click("#join")
        page.wait("document.querySelector('#link').dataset.state === 'open'")
        return page

    def picture(self, page, name):
        if folder := os.environ.get("PARLEY_PICTURES"):
            page.screenshot(f"{folder}/{name}.png")

    def messages(self, page):
        return page.evaluate("[...document.querySelectorAll('#messages li:not(.unsent)')].map(l => l.lastChild.textContent)")

    def say(self, page, text):
        page.fill("#text", text)
        page.press_enter()

    def hears(self, page, count):
        page.wait(f"document.querySelectorAll('#messages li:not(.unsent)').length === {count}")

    def test_two_talk_and_one_catches_up(self):
        ann, bob = self.enter("Ann"), self.enter("Bob", width=390, height=760)
        ann.fill("#add-name", "Bob")
        ann.press_enter()
        bob.wait("document.querySelectorAll('#people button').length === 1")
        bob.click("#people button")
        bob.evaluate("[...document.querySelectorAll('#tools button')].find(b => b.textContent === 'Accept').click()")
        ann.wait("document.querySelector('#people .dot.on') !== null")
        ann.click("#people button")
        # Whoever goes by the keyboard stays where they are, whatever news comes.
        for button in ("#people button", "#tools button"):
            ann.evaluate(f"document.querySelector('{button}').focus(), refresh().then(() => {{ globalThis.told = '{button}'; }})")
            ann.wait(f"globalThis.told === '{button}'")
            self.assertTrue(ann.evaluate(f"document.activeElement === document.querySelector('{button}')"))
        self.say(ann, "Hello <b>Bob</b> & all ✓")
        self.hears(bob, 1)
        self.assertEqual(self.messages(bob), ["Hello <b>Bob</b> & all ✓"])
        bob.fill("#text", "Hi")
        ann.wait("document.querySelector('#typing').textContent.includes('Bob')")
        bob.press_enter()
        self.hears(ann, 2)
        bob.wait("document.querySelectorAll('#messages li.unsent').length === 0")
        self.picture(ann, "console-desk")
        self.picture(bob, "console-phone")
        # Bob is in a tunnel. What both write arrives when he is out of it.
        bob.call("Network.enable")
        bob.call("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=-1, uploadThroughput=-1)
        bob.wait("document.querySelector('#link').dataset.state === 'closed'")
        ann.wait("document.querySelector('#people .dot.on') === null")
        self.say(ann, "are you there?")
        self.say(ann, "it seems not")
        self.hears(ann, 4)
        self.say(bob, "in a tunnel")
        self.assertEqual(bob.evaluate("document.querySelectorAll('#messages li.unsent').length"), 1)
        bob.call("Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=-1)
        for page in (ann, bob):
            self.hears(page, 5)
            self.assertEqual(self.messages(page), [
                "Hello <b>Bob</b> & all ✓", "Hi", "are you there?", "it seems not", "in a tunnel"])
        self.assertEqual(bob.evaluate("document.querySelectorAll('#messages li.unsent').length"), 0)
        # Bob's own message comes with a page that is read, before its event does.
        bob.evaluate("globalThis.held = [], events.new_message = message => held.push(message)")
        self.say(bob, "once")
        bob.wait("held.length === 1 && state.outbox.every(message => message.seq)")
        bob.evaluate("refresh().then(() => { events.new_message = note; held.forEach(note); })")
        self.hears(bob, 6)
        bob.wait("document.querySelectorAll('#messages li.unsent').length === 0")
        # A group, from making it to leaving it.
        ann.fill("#group-name", "Readers")
        ann.press_enter()
        ann.wait("document.querySelectorAll('#people button').length === 2")
        ann.evaluate("[...document.querySelectorAll('#people button')].find(b => b.textContent.includes('Readers')).click()")
        ann.fill("#tools input", "Bob")
        # News that comes meanwhile leaves what is being written alone.
        ann.evaluate("refresh().then(() => { globalThis.refreshed = true; })")
        ann.wait("globalThis.refreshed")
        ann.evaluate("[...document.querySelectorAll('#tools button')].find(b => b.textContent === 'Add').click()")
        bob.wait("document.querySelectorAll('#people button').length === 2")
        self.say(ann, "to the group")
        bob.wait("document.querySelector('#people .count') !== null")
        self.assertEqual(bob.evaluate("document.documentElement.scrollWidth > innerWidth"), False)
        # A page that is loaded again is where it was; logging out ends the session.
        ann.call("Page.reload")
        ann.wait("document.querySelector('#link') && document.querySelector('#link').dataset.state === 'open'")
        # What was asked before is answered after, and asks nothing more without a session.
        ann.evaluate("performance.clearResourceTimings(), reload(), document.querySelector('#leave').click()")
        ann.wait("!document.querySelector('#door').hidden")
        ann.wait("performance.getEntriesByType('resource').filter(e => e.name.includes('/get')).length >= 2")
        time.sleep(0.5)
        complaints = [c for c in ann.complaints + bob.complaints if "ERR_INTERNET_DISCONNECTED" not in c]
        self.assertEqual(complaints, [])

    def test_nothing_from_elsewhere_and_no_inline_script(self):
        client = Client(self.server.ports["chat"])
        for path in ("/console", "/console.js", "/console.css"):
            client.connection.request("GET", path)
            answer = client.connection.getresponse()
            text = answer.read().decode()
            self.assertIn("default-src 'none'", answer.headers["content-security-policy"])
            self.assertNotIn("unsafe", answer.headers["content-security-policy"])
            self.assertNotIn("http://", text)
            self.assertNotIn("https://", text)
        page = self.browser.page(self.url)
        page.fill("#name", "Nobody")
        page.fill("#password", "wrong password")
        page.press_enter()
        page.wait("document.querySelector('#door-error').textContent.includes('wrong')")


if __name__ == "__main__":
    unittest.main()
