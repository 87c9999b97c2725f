"""Two processes of the Chat Service over one PostgreSQL, with sockets of python-socketio at both."""

import os
import signal
import statistics
import threading
import time
import unittest

import harness
from harness import Client
from postgres import Postgres
from recovering import RecoveringSocket
from test_chat import Person, befriend
from test_sessions import Customer, User, until

postgres = None
# A node that is silent for 6 s is declared dead by another one, which looks every 2 s.
GONE = 12


def setUpModule():
    global postgres
    postgres = Postgres(fsync="off")
    postgres.access()
    postgres.start()
    postgres.sql("CREATE DATABASE parley", database="postgres")
    unittest.addModuleCleanup(postgres.stop)


class Node(harness.Server):
    def __init__(self, name, *flags):
        super().__init__("--node", name, "--database", postgres.url(), *flags, services=("users", "chat"))


class TwoNodes(unittest.TestCase):
    count = 0

    @classmethod
    def setUpClass(cls):
        cls.nodes = [Node("a"), Node("b")]
        threads = [threading.Thread(target=node.start) for node in cls.nodes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    @classmethod
    def tearDownClass(cls):
        for node in cls.nodes:
            node.__exit__()

    def tearDown(self):
        for person in self.people:
            person.close()

    def setUp(self):
        self.people = []

    def port(self, node):
        return self.nodes[node].ports["chat"]

    def person(self, node, connect=True):
        TwoNodes.count += 1
        person = Person(self.port(node), f"user{TwoNodes.count}", connect=connect)
        self.people.append(person)
        return person

    def pair(self):
        ada, ben = self.person(0), self.person(1)
        befriend(ada, ben)
        return ada, ben

    def move(self, person, node):
        """Sends what the person asks from now on to another node."""
        person.port, person.client = self.port(node), Client(self.port(node))

    def online(self, person, other):
        return next(contact["is_online"] for contact in person.get("/getContacts")[1] if contact["user_id"] == other.id)

    def wait(self, condition, limit, what):
        end = time.monotonic() + limit
        while not condition():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.1)

    def test_messages_cross_in_one_order(self):
        ada, ben = self.pair()
        cid = self.person(1)
        for one, other in ((ada, cid), (ben, cid)):
            befriend(one, other)
        group = ada.post("/createGroup", name="g", members=[ben.name, cid.name])[1]["group_id"]
        everybody = [ada, ben, cid]

        def talk(person):
            for number in range(40):
                answer = person.send(group, f"{person.name}-{number}", is_group=True)
                self.assertEqual(answer["status"], "ok", answer)
        threads = [threading.Thread(target=talk, args=(person,)) for person in everybody]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        heard = [[person.receive("new_message", timeout=10) for _ in range(120)] for person in everybody]
        for messages in heard:
            self.assertEqual([message["seq"] for message in messages], list(range(1, 121)))
            self.assertEqual([message["message_id"] for message in messages], [message["message_id"] for message in heard[0]])
        for person in everybody:
            person.receives_nothing("new_message")
        # The history is the same at both nodes.
        for node in (0, 1):
            self.move(ada, node)
            _, page = ada.get("/getGroupMessages", group_id=group, limit=200)
            self.assertEqual([message["message_id"] for message in page], [message["message_id"] for message in heard[0]])

    def test_a_wake_up_takes_milliseconds(self):
        ada, ben = self.pair()
        times = []
        for number in range(60):
            begin = time.monotonic()
            ada.send(ben.id, f"m{number}")
            sent = time.monotonic()
            ben.receive("new_message")
            times.append(time.monotonic() - sent)
            self.assertLess(time.monotonic() - begin, 5)
        # Without a wake-up it is half a second.
        self.assertLess(statistics.median(times), 0.1, times)
        print(f"\nto the other node, after the acknowledgement: median {statistics.median(times) * 1000:.1f} ms")

    def test_a_lost_wake_up_is_swept(self):
        ada, ben = self.pair()
        for round in range(3):
            # The connections that listen.
            postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' OR query = 'SELECT 1'")
            answer = ada.send(ben.id, f"round {round}")
            self.assertEqual(answer["status"], "ok", answer)
            self.assertEqual(ben.receive("new_message", timeout=5)["content"], f"round {round}")

    def test_typing_and_changes_are_heard_at_the_other_node(self):
        ada, ben = self.pair()
        ada.sockets[0].emit("typing", {"recipient_id": ben.id, "is_group": False})
        self.assertEqual(ben.receive("typing")["sender_id"], ada.id)
        self.assertEqual(ada.receive("contact_changed")["status"], "friend")
        self.assertEqual(ben.post("/changeContact", contact=ada.name, status="blocked")[0], 200)
        self.assertEqual(ada.receive("contact_changed")["status"], "blocked")
        answer = ada.send(ben.id, "too late")
        self.assertEqual(answer["status"], "error")

    def test_presence_counts_the_sockets_of_both_nodes(self):
        ada = self.person(0)
        ben = self.person(1, connect=False)
        befriend(ada, ben)
        self.assertFalse(self.online(ada, ben))
        ben.connect()
        self.assertEqual(ada.receive("user_status")["status"], "online")
        self.move(ben, 0)
        ben.connect()
        ben.sockets[0].disconnect()
        ada.receives_nothing("user_status", timeout=1)
        self.assertTrue(self.online(ada, ben))
        ben.sockets[1].disconnect()
        self.assertEqual(ada.receive("user_status")["status"], "offline")
        self.assertFalse(self.online(ada, ben))

    def test_a_session_ends_at_both_nodes(self):
        ada = self.person(0)
        self.move(ada, 1)
        ada.connect()
        ada.receives_nothing("error")
        self.move(ada, 0)
        self.assertEqual(ada.post("/logout")[0], 200)
        for socket in ada.sockets:
            self.assertTrue(socket.gone.get(timeout=5))

    def test_a_node_that_is_killed(self):
        ada, ben = self.pair()
        dan = self.person(1)
        befriend(ada, dan)
        self.move(dan, 0)
        dan.connect()
        self.nodes[1].kill()
        try:
            # Others go on at once, and the users of the dead node are offline once its lease has ended.
            self.assertEqual(ada.send(ben.id, "are you there?")["status"], "ok")
            status = ada.receive("user_status", timeout=GONE)
            self.assertEqual((status["user_id"], status["status"]), (ben.id, "offline"))
            # A socket at the other node is left to this one.
            ada.receives_nothing("user_status", timeout=1)
            self.assertTrue(self.online(ada, dan))
            self.assertFalse(self.online(ada, ben))
            self.move(ben, 0)
            ben.connect()
            self.assertEqual(ada.receive("user_status")["status"], "online")
            _, page = ben.get("/getContactMessages", contact=ada.name)
            self.assertEqual([message["content"] for message in page], ["are you there?"])
        finally:
            self.nodes[1].start()
        self.move(ben, 1)
        ben.connect()
        ada.send(ben.id, "again")
        self.assertEqual(ben.receive("new_message", socket=-1)["content"], "again")

    def test_a_node_that_stands_still(self):
        ada, ben = self.pair()
        process = self.nodes[1].process.pid
        os.kill(process, signal.SIGSTOP)
        try:
            self.assertEqual(ada.receive("user_status", timeout=GONE)["status"], "offline")
            self.assertEqual(ada.send(ben.id, "are you there?")["status"], "ok")
        finally:
            os.kill(process, signal.SIGCONT)
        # It was replaced, so it closes its sockets, and serves new ones.
        self.assertTrue(ben.sockets[0].gone.get(timeout=GONE))
        self.wait(lambda: self.connects(ben), GONE, "the node admits no socket")
        self.assertEqual(ada.receive("user_status")["status"], "online")
        ada.send(ben.id, "again")
        self.assertEqual(ben.receive("new_message", socket=-1)["content"], "again")

    def connects(self, person):
        try:
            person.connect()
            return True
        except Exception as error:  # python-socketio tells refusals by several classes.
            self.assertIn("Connect", type(error).__name__)
            return False

    def test_a_rolling_restart_under_load(self):
        ada, ben = self.pair()
        sent, failed, stop = [], [], threading.Event()

        def talk():
            number = 0
            while not stop.is_set():
                number += 1
                try:
                    answer = ada.send(ben.id, f"m{number}", client_id=f"c{number}")
                    (sent if answer["status"] == "ok" else failed).append(f"m{number}")
                except Exception:
                    if not self.connects(ada):
                        time.sleep(0.1)
                    ada.sockets = ada.sockets[-1:]
                    failed.append(f"m{number}")
        self.assertEqual(self.nodes[1].stop(), 0)
        thread = threading.Thread(target=talk)
        thread.start()
        try:
            for node in (1, 0):
                if node == 0:
                    self.move(ada, 1)
                    self.assertEqual(self.nodes[0].stop(), 0)
                self.nodes[node].start()
                time.sleep(1)
        finally:
            stop.set()
            thread.join()
        self.assertGreater(len(sent), 20)
        self.move(ben, 1)
        stored = []
        while page := ben.get("/getContactMessages", contact=ada.name, after=len(stored), limit=500)[1]:
            stored += [message["content"] for message in page]
        self.assertEqual([content for content in sent if content not in set(stored)], [])
        self.assertEqual(len(stored), len(set(stored)))
        self.assertTrue(set(stored) <= set(sent) | set(failed))

    def test_a_client_is_recovered_at_the_other_node(self):
        ada, ben = self.person(0), self.person(1, connect=False)
        befriend(ada, ben)
        socket = RecoveringSocket(ben.session)
        socket.connect(self.port(1))
        ada.send(ben.id, "1")
        self.assertEqual(socket.contents(1), ["1"])
        for number, node in enumerate((0, 1, 0)):
            socket.cut()
            ada.send(ben.id, f"{number} missed")
            socket.connect(self.port(node))
            self.assertTrue(socket.recovered)
            ada.send(ben.id, f"{number} live")
            self.assertEqual(socket.contents(2), [f"{number} missed", f"{number} live"])
        # The node that has the socket dies.
        socket.cut()
        socket.connect(self.port(1))
        self.assertTrue(socket.recovered)
        ada.send(ben.id, "before")
        self.assertEqual(socket.contents(1), ["before"])
        self.nodes[1].kill()
        ada.send(ben.id, "meanwhile")
        # Its row is open until the other node has noticed.
        for pause in (0, GONE):
            time.sleep(pause)
            socket.connect(self.port(0))
            self.assertTrue(socket.recovered)
            ada.send(ben.id, f"after {pause}")
            expected = ["meanwhile", f"after {pause}"] if pause == 0 else [f"after {pause}"]
            self.assertEqual(socket.contents(len(expected)), expected)
            socket.cut()
        self.assertTrue(socket.recovered)
        postgres.sql("UPDATE recoveries SET closed_at = 1")
        socket.connect(self.port(0))
        self.assertFalse(socket.recovered)
        socket.close()
        self.nodes[1].start()

    def test_nodes_with_the_broker_in_the_same_process_are_refused(self):
        node = harness.Server("--node", "c", "--database", postgres.url(), services=("users", "chat", "broker"))
        with self.assertRaisesRegex(RuntimeError, "several nodes of chat share a broker"):
            node.start()
        node.process.wait()
        node.process.stdout.close()
        node.process.stderr.close()


class SupervisedUsers(unittest.TestCase):
    """Sessions of users whose sockets are at two nodes, with a broker of their own."""

    def setUp(self):
        postgres.sql("CREATE DATABASE supervised", database="postgres")
        self.servers, self.sockets = [], []
        self.broker = self.serve("broker")
        self.amqp = ("--amqp", self.broker.urls["amqp"])
        url = postgres.url().replace("/parley", "/supervised")
        self.nodes = [self.serve("users", "chat", flags=("--node", name, "--database", url, *self.amqp)) for name in "ab"]
        self.core = self.serve(
            "manager", "customers", "supervisor", flags=(*self.amqp, "--users-url", self.nodes[1].urls["users"]))

    def tearDown(self):
        for user in self.sockets:
            user.socket.disconnect()
        for server in reversed(self.servers):
            if server.process.poll() is None:
                server.kill()
            server.folder.cleanup()
        postgres.sql("DROP DATABASE supervised WITH (FORCE)", database="postgres")

    def serve(self, *services, flags=()):
        server = harness.Server(*flags, services=services)
        self.servers.append(server)
        return server.start()

    def user(self, node, name):
        user = User(self.nodes[node].ports["chat"], name)
        self.sockets.append(user)
        return user

    def overview(self):
        return Client(self.core.ports["manager"]).send("GET", "/overview")[1]

    def test_presence_at_both_nodes(self):
        ada, ben = self.user(0, "ada"), self.user(1, "ben")
        until(lambda: self.overview()["FREE"] == 2)
        # The same user at the other node, too: the end of one socket changes nothing.
        first = ada.socket
        ada.port = self.nodes[1].ports["chat"]
        ada.connect()
        first.disconnect()
        time.sleep(1)
        self.assertEqual(self.overview()["FREE"], 2)
        ada.socket.disconnect()
        ben.socket.disconnect()
        until(lambda: self.overview()["FREE"] == 0)

    def test_a_conversation_while_a_node_is_killed(self):
        ada, ben = self.user(0, "ada"), self.user(1, "ben")
        until(lambda: self.overview()["FREE"] == 2 and len(self.overview()["HOSTS"]) == 1)
        Client(self.nodes[1].ports["users"]).register("customer")
        customer = Customer.__new__(Customer)
        customer.client, customer.email = Client(self.core.ports["customers"]), "customer@example.com"
        self.assertEqual(customer.request(), (200, "SESSION_CREATION_REQUEST_ACCEPTED"))
        self.assertEqual(customer.initialize(), (200, "SESSION_INITIALIZED"))
        until(lambda: len(self.overview()["SUPERVISORS"][0]["LIST_USER_ID"]) == 2)
        said = []

        def talk(people, count):
            for _ in range(count):
                for user in people:
                    text = f"{user.id}/{len(said)}"
                    self.assertEqual(user.say(text, client_id=text)["status"], "ok")
                    said.append(text)
                self.assertEqual(customer.ask("SEND_MESSAGE", MESSAGE=f"customer/{len(said)}")[0], 200)
                said.append(f"customer/{len(said)}")

        talk((ada, ben), 10)
        # One of the nodes consumes the messages for all users. Each is killed once.
        for victim, rest in ((0, ben), (1, None)):
            talk((ada, ben), 2)
            self.nodes[victim].kill()
            gone = (ada, ben)[victim]
            if rest:
                talk((rest,), 10)
                until(lambda: len(customer.transcript()) == len(said), timeout=GONE + 8)
                wanted = [m["SEQ"] for m in customer.transcript() if m["FROM"] != rest.id]
                until(lambda: len(rest.heard) >= len(wanted), timeout=GONE + 8)
                self.assertEqual([m["SEQ"] for m in rest.heard], wanted)
            until(lambda: gone.id not in self.overview()["SUPERVISORS"][0]["LIST_USER_ID"] or victim == 1, timeout=GONE + 8)
            self.nodes[victim].start()
            gone.connect()
            until(lambda: gone.id in self.overview()["SUPERVISORS"][0]["LIST_USER_ID"], timeout=GONE + 8)
            talk((ada, ben), 3)
        until(lambda: len(customer.transcript()) == len(said))
        transcript = [m["MESSAGE"] for m in customer.transcript()]
        self.assertEqual(sorted(transcript), sorted(said))
        for sender in (str(ada.id), str(ben.id), "customer"):
            own = [[text for text in texts if text.split("/")[0] == sender] for texts in (transcript, said)]
            self.assertEqual(own[0], own[1])
        for user in (ada, ben):
            heard = [m["SEQ"] for m in user.heard]
            self.assertEqual(heard, sorted(set(heard)))


if __name__ == "__main__":
    unittest.main()
