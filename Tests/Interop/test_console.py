"""The console in a headless Chromium."""

import os
import time
import unittest

import browser
import tls
from harness import Client, Server, SocketClient

PHONE = {"width": 390, "height": 760}


class Case(unittest.TestCase):
    """A server, and a browser that shows its pages."""

    flags = ()

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.flags, services=("users", "chat")).start()
        cls.url = cls.server.urls["chat"] + "/console"
        cls.browser = browser.Browser(*cls.trust())

    @classmethod
    def trust(cls):
        """The flags of the browser."""
        return ()

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

    def tools(self, page):
        return page.evaluate("[...document.querySelectorAll('#tools button')].map(b => b.textContent)")

    def tool(self, page, text):
        self.assertIn(text, self.tools(page))
        page.evaluate(f"[...document.querySelectorAll('#tools button')].find(b => b.textContent === '{text}').click()")

    def friends(self, *names):
        """Registers users who are friends of the first one. Returns their sessions and ids."""
        client = Client(self.server.ports["chat"])
        users = []
        for name in names:
            self.assertEqual(client.send("POST", "/register", {"username": name, "password": "password123"})[0], 200)
            users.append(client.send("POST", "/login", {"username": name, "password": "password123"})[1])
        for other in users[1:]:
            client.send("POST", "/addContact", {"sessionID": users[0]["sessionID"], "contact": other["username"]})
            client.send("POST", "/addContact", {"sessionID": other["sessionID"], "contact": names[0]})
        return users

    def log_in(self, name, **size):
        page = self.browser.page(self.url, **size)
        page.fill("#name", name)
        page.fill("#password", "password123")
        page.press_enter()
        page.wait("document.querySelector('#link').dataset.state === 'open'")
        page.wait("document.querySelectorAll('#people button').length > 0")
        return page

    def writer(self, user):
        socket = SocketClient(reconnection=False)
        socket.connect(self.server.urls["chat"], transports=["websocket"], auth={"sessionID": user["sessionID"]}, wait_timeout=5)
        self.addCleanup(socket.disconnect)

        def write(recipient, text):
            answer = socket.call("send_message", {"sessionID": user["sessionID"], "recipient_id": recipient["user_id"], "content": text})
            self.assertEqual(answer["status"], "ok")
        return write

    def messages(self, page):
        return page.evaluate("[...document.querySelectorAll('#messages .message:not(.unsent)')].map(l => l.lastChild.textContent)")

    def say(self, page, text):
        page.fill("#text", text)
        page.press_enter()

    def hears(self, page, count):
        page.wait(f"document.querySelectorAll('#messages .message:not(.unsent)').length === {count}")

    def converse(self):
        """A conversation of two people, one of whom loses the connection for a time."""
        ann, bob = self.enter("Ann"), self.enter("Bob", width=390, height=760)
        ann.fill("#add-name", "Bob")
        ann.press_enter()
        bob.wait("document.querySelectorAll('#people button').length === 1")
        bob.click("#people button")
        self.tool(bob, "Accept")
        ann.wait("document.querySelector('#people .dot.on') !== null")
        ann.click("#people button")
        # Updates of the page do not move the keyboard focus.
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
        bob.wait("document.querySelectorAll('#messages .unsent').length === 0")
        self.picture(ann, "console-desk")
        self.picture(bob, "console-phone")
        # Bob is offline. Messages of both arrive when he is online again.
        bob.call("Network.enable")
        bob.call("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=-1, uploadThroughput=-1)
        bob.wait("document.querySelector('#link').dataset.state === 'closed'")
        ann.wait("document.querySelector('#people .dot.on') === null")
        self.say(ann, "are you there?")
        self.say(ann, "it seems not")
        self.hears(ann, 4)
        self.say(bob, "in a tunnel")
        self.assertEqual(bob.evaluate("document.querySelectorAll('#messages .unsent').length"), 1)
        bob.call("Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=-1)
        for page in (ann, bob):
            self.hears(page, 5)
            self.assertEqual(self.messages(page), [
                "Hello <b>Bob</b> & all ✓", "Hi", "are you there?", "it seems not", "in a tunnel"])
        self.assertEqual(bob.evaluate("document.querySelectorAll('#messages .unsent').length"), 0)
        # The page reads Bob's own message before the event arrives.
        bob.evaluate("globalThis.held = [], events.new_message = message => held.push(message)")
        self.say(bob, "once")
        bob.wait("held.length === 1 && state.outbox.every(message => message.seq)")
        bob.evaluate("refresh().then(() => { events.new_message = note; held.forEach(note); })")
        self.hears(bob, 6)
        bob.wait("document.querySelectorAll('#messages .unsent').length === 0")
        # A group, from its creation to leaving it.
        ann.fill("#group-name", "Readers")
        ann.press_enter()
        # A new group is opened.
        ann.wait("document.querySelector('#title').textContent === 'Readers'")
        ann.fill("#tools input", "Bob")
        # An update of the page keeps the text being typed.
        ann.evaluate("refresh().then(() => { globalThis.refreshed = true; })")
        ann.wait("globalThis.refreshed")
        self.tool(ann, "Add")
        bob.wait("document.querySelectorAll('#people button').length === 2")
        self.say(ann, "to the group")
        bob.wait("document.querySelector('#people .count') !== null")
        self.assertEqual(bob.evaluate("document.documentElement.scrollWidth > innerWidth"), False)
        # Reloading the page keeps the session; logging out ends it.
        ann.call("Page.reload")
        ann.wait("document.querySelector('#link') && document.querySelector('#link').dataset.state === 'open'")
        # The response to an earlier request arrives after the logout, and causes no further
        # requests.
        ann.evaluate("performance.clearResourceTimings(), reload(), document.querySelector('#leave').click()")
        ann.wait("!document.querySelector('#door').hidden")
        ann.wait("performance.getEntriesByType('resource').filter(e => e.name.includes('/get')).length >= 2")
        time.sleep(0.5)
        complaints = [c for c in ann.complaints + bob.complaints if "ERR_INTERNET_DISCONNECTED" not in c]
        self.assertEqual(complaints, [])


class Console(Case):
    def test_a_conversation_with_a_reconnect(self):
        self.converse()

    def test_errors_are_visible(self):
        """An error is visible also on a phone, where a conversation covers the list."""
        self.friends("Eva", "Fay")
        for page in (self.log_in("Eva", **PHONE), self.log_in("Eva")):
            page.fill("#group-name", "Walkers")
            page.press_enter()
            page.wait("document.querySelector('#title').textContent === 'Walkers'")
            page.fill("#tools input", "Nobody at all")
            self.tool(page, "Add")
            page.wait("document.querySelector('#notice').innerText.includes('no such')")
            visible = "(() => { const box = document.querySelector('#notice-text').getBoundingClientRect();" \
                "return box.width > 0 && box.top >= 0 && box.bottom <= innerHeight &&" \
                "document.elementFromPoint(box.left + 2, box.top + 2).id === 'notice-text'; })()"
            self.assertTrue(page.evaluate(visible))
            self.assertEqual(page.accessible("#notice")[0], "alert")
            self.picture(page, f"console-error-{page.evaluate('innerWidth')}")
            page.click("#dismiss")
            self.assertFalse(page.evaluate(visible))
            self.tool(page, "Leave")
            page.wait("document.querySelector('#title').textContent === 'Eva'")

    def test_each_side_of_a_contact_is_offered_its_actions(self):
        gil, hal = self.enter("Gil"), self.enter("Hal")
        gil.fill("#add-name", "Hal")
        gil.press_enter()
        for page, wanted in ((gil, ["Block"]), (hal, ["Accept", "Block"])):
            page.wait("document.querySelectorAll('#people button').length === 1")
            page.click("#people button")
            self.assertEqual(self.tools(page), wanted)
        self.assertIn("asked", gil.evaluate("document.querySelector('#people .state').textContent"))
        self.tool(hal, "Block")
        hal.wait("document.querySelector('#people .state').textContent === 'blocked'")
        gil.wait("document.querySelector('#people .state').textContent === 'blocked'")
        self.assertEqual((self.tools(gil), self.tools(hal)), ([], ["Unblock"]))
        self.tool(hal, "Unblock")
        gil.wait("document.querySelector('#people .state').textContent !== 'blocked'")
        self.assertEqual((self.tools(gil), self.tools(hal)), (["Block"], ["Accept", "Block"]))
        self.tool(hal, "Accept")
        for page in (gil, hal):
            page.wait("document.querySelector('#people .state').textContent === 'online'")
            self.assertEqual(self.tools(page), ["Unfriend", "Block"])

    def test_the_reading_position_stays_and_older_messages_load(self):
        ida, jan = self.friends("Ida", "Jan")
        write = self.writer(jan)
        for number in range(170):
            write(ida, f"message {number}")
        for size in ({}, PHONE):
            page = self.log_in("Ida", **size)
            page.click("#people button")
            page.wait("document.querySelectorAll('#messages .message').length === 50")
            at_end = "(() => { const a = document.querySelector('#scroll'); return a.scrollHeight - a.scrollTop - a.clientHeight < 2; })()"
            self.assertTrue(page.evaluate(at_end))
            # Older messages load as the reader scrolls up, and the messages on the screen do not
            # move.
            for count in (100, 150):
                place = page.evaluate("(() => { const a = document.querySelector('#scroll'); a.scrollTop = 0; globalThis.mark = document.querySelector('#messages .message');"
                                      "return mark.getBoundingClientRect().top; })()")
                page.wait(f"document.querySelectorAll('#messages .message').length === {count}")
                self.assertLess(abs(page.evaluate("mark.getBoundingClientRect().top") - place), 60)
            # A new message does not scroll the reader to the end.
            page.evaluate("document.querySelector('#scroll').scrollTop = 600")
            before = page.evaluate("document.querySelector('#scroll').scrollTop")
            write(ida, "news")
            page.wait("!document.querySelector('#newer').hidden")
            self.assertEqual(page.evaluate("document.querySelector('#scroll').scrollTop"), before)
            self.picture(page, f"console-news-{page.evaluate('innerWidth')}")
            page.click("#newer")
            page.wait(at_end)
            self.assertTrue(page.evaluate("document.querySelector('#newer').hidden"))
            # A reader at the end sees the next message at once.
            write(ida, "more news")
            page.wait("document.querySelector('#messages').lastElementChild.textContent.includes('more news')")
            self.assertTrue(page.evaluate(at_end))
            self.assertTrue(page.evaluate("document.querySelector('#newer').hidden"))
            page.click("#older")
            page.wait("document.querySelector('#messages .message').textContent.includes('message 0')")
            self.assertTrue(page.evaluate("document.querySelector('#older').hidden"))

    def test_days_and_times_are_shown(self):
        self.friends("Kim", "Leo")
        page = self.log_in("Kim")
        page.click("#people button")
        page.wait("document.querySelector('#app').dataset.view === 'talk'")
        page.evaluate("""(() => { const person = state.people.get(state.open);
            ['2026-03-01T23:50:00Z', '2026-03-02T12:00:00Z', '2026-03-02T12:05:00Z'].forEach((timestamp, i) => insert(person,
                { seq: i + 1, sender_id: person.id, sender_username: person.name, content: 'x', timestamp }));
            showMessages(); })()""")
        rows = page.evaluate("[...document.querySelectorAll('#messages li')].map(l => l.className)")
        self.assertEqual(rows, ["day", "message", "day", "message", "message"])
        self.assertEqual(page.evaluate("[...document.querySelectorAll('#messages .day')].map(l => l.textContent.includes('2026'))"), [True, True])
        self.assertEqual(page.evaluate("document.querySelectorAll('#messages .message time')[1].dateTime"), "2026-03-02T12:00:00.000Z")

    def test_messages_are_announced_and_controls_have_names(self):
        mia, ned = self.friends("Mia", "Ned")
        write = self.writer(ned)
        page = self.log_in("Mia")
        write(mia, "one")
        write(mia, "two")
        page.wait("document.querySelector('#people .count')?.textContent === '2'")
        page.wait("document.querySelector('#people .dot.on') !== null")
        self.assertEqual(page.accessible("#people button"), ("button", "Ned", "online, 2 unread messages"))
        self.assertEqual(page.evaluate("document.title"), "(2) Parley")
        page.click("#people button")
        page.wait("document.querySelectorAll('#messages .message').length === 2")
        self.assertEqual(page.accessible("#people button"), ("button", "Ned", "online"))
        self.assertEqual(page.accessible("#scroll")[:2], ("log", "Messages"))
        # A new message adds one element to the log, so earlier messages are not announced again.
        page.evaluate("globalThis.added = []; new MutationObserver(all => all.forEach(m => m.addedNodes.forEach(n => added.push(n.textContent))))"
                      ".observe(document.querySelector('#messages'), { childList: true })")
        write(mia, "three")
        page.wait("added.length > 0")
        self.assertEqual(page.evaluate("added.map(text => text.endsWith('three'))"), [True])
        for selector in ("#add-name", "#group-name", "#text", "#back", "#leave", "#newer", "#older", "#dismiss"):
            page.evaluate(f"document.querySelector('{selector}').hidden = false")
            self.assertTrue(page.accessible(selector)[1] or selector == "#dismiss", selector)

    def test_contrast(self):
        """The contrast meets WCAG 2.2 AA in every state of the page, light and dark."""
        oda, pia = self.friends("Oda", "Pia")
        write = self.writer(pia)
        for size in ({"width": 1280, "height": 800}, PHONE):
            door = self.browser.page(self.url, **size)
            page = self.log_in("Oda", **size)
            write(oda, "unread")
            page.wait("document.querySelector('#people .count') !== null")
            for scheme in ("light", "dark"):
                door.scheme(scheme)
                page.scheme(scheme)
                self.assertGreater(page.evaluate("document.querySelector('#list').getBoundingClientRect().bottom"), size["height"] - 2)
                door.evaluate("document.querySelector('#door-error').textContent = 'wrong'")
                self.assertEqual((door.low_contrast(), page.low_contrast()), ([], []), scheme)
                self.picture(page, f"console-list-{scheme}-{page.evaluate('innerWidth')}")
            page.click("#people button")
            page.wait("document.querySelectorAll('#messages .message').length > 0")
            self.say(page, "an answer")
            page.wait("state.outbox.length === 0")
            page.evaluate("state.outbox.push({ key: state.open, content: 'not sent yet', id: 'x', seq: -1 }); tell(new Error('something went wrong'));"
                          "document.querySelector('#typing').textContent = 'Pia is typing'; showMessages(); ['newer', 'older'].forEach(id => $(id).hidden = false)")
            for scheme in ("light", "dark"):
                page.scheme(scheme)
                for link in ("open", "closed"):
                    page.evaluate(f"document.querySelector('#link').dataset.state = '{link}'")
                    self.assertEqual(page.low_contrast(), [], scheme)
                self.assertGreater(page.evaluate("document.querySelector('#write').getBoundingClientRect().bottom"), size["height"] - 20)
                self.picture(page, f"console-talk-{scheme}-{page.evaluate('innerWidth')}")
                self.assertEqual(page.evaluate("document.documentElement.scrollWidth > innerWidth"), False)

    def test_no_external_resources_and_no_inline_script(self):
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


class Secure(Case):
    """The console over TLS, with a certificate that signs itself."""

    flags = ("--tls-self-signed",)

    @classmethod
    def trust(cls):
        return (f"--ignore-certificate-errors-spki-list={tls.pin(cls.server.data + '/tls-self-signed.crt')}",)

    def test_a_conversation_with_a_reconnect(self):
        self.assertTrue(self.url.startswith("https://"))
        self.converse()

    def test_a_browser_that_does_not_know_the_certificate_refuses_it(self):
        other = browser.Browser()
        self.addCleanup(other.close)
        page = other.page(self.url)
        page.wait("document.body.innerText.includes('ERR_CERT_AUTHORITY_INVALID')")
        self.assertFalse(page.evaluate("document.querySelector('#join') !== null"))


if __name__ == "__main__":
    unittest.main()
