"""Email addresses are valid exactly if pydantic's EmailStr accepts them. A drain answers requests
in flight."""

import hashlib
import os
import shutil
import sqlite3
import subprocess
import threading
import time
import unittest

from pydantic import EmailStr, TypeAdapter, ValidationError

from harness import BINARY, Client, Server

EMAILS = """
user@example.com User+tag@Example.COM a.b-c_d@x-y.example.org o'neil@example.com a@b.co "a b"@example.com a@b a@b.c0m a@-b.com
a@b-.com a@b..com .a@b.com a.@b.com a..b@c.com @b.com a@ a@localhost a@x.local a@x.test a@x.invalid a@x.onion a@1.2.3.4 a@[1.2.3.4]
a@b@c.com a,b@c.com (a)@b.com a;b@c.com a@ex_ample.com a@ab--cd.com a@xn--bcher-kva.example jos\u00e9@example.com x@b\u00fccher.example
a!#$%&'*+/=?^_`{|}~-@example.com a@example.com. a@.example.com a@example a@example.c A@B.CO 1@2.example \u4f60@\u597d.example
""".split() + ["Ann Lee <ann@example.com>", " ann2@example.com ", "a b@example.com", "a@b c.com", "<ann3@example.com>", "Ann <ann4@example.com",
               "a" * 64 + "@example.com", "a" * 65 + "@example.com", "a@" + "b" * 63 + ".com", "a@" + "b" * 64 + ".com",
               "a@" + ".".join(["bbbbbbbbb"] * 25) + ".com", "a@" + ".".join(["bbbbbbbbb"] * 26) + ".com", "a\t@b.com", "a@b.com\n", ""]


class Rules(unittest.TestCase):
    def test_emails(self):
        adapter = TypeAdapter(EmailStr)
        with Server() as server:
            client = Client(server.port)
            for number, email in enumerate(EMAILS):
                try:
                    adapter.validate_python(email)
                    expected = True
                except ValidationError:
                    expected = False
                status, answer = client.send("POST", "/register", {"email": email, "username": f"u{number}", "password": "password123"})
                if answer.get("detail") == "email: already registered":
                    status = 201
                with self.subTest(email):
                    self.assertEqual(status, 201 if expected else 400, (email, answer))

    def test_the_tables_match_the_seed(self):
        with Server() as server:
            client = Client(server.port)
            client.register("ann")
            token = client.login("ann")[1]["access_token"]
            client.send("POST", "/add-session", {"session_id": "s1"}, token)
            self.assertEqual(server.stop(), 0)
            tables = sqlite3.connect(os.path.join(server.data, "accounts.db"))
            row = tables.execute("SELECT user_id, user_email, username, password_hash, salt, created_at, last_login FROM users").fetchone()
            self.assertRegex(row[0], "^[0-9a-f]{64}$")
            self.assertEqual(row[1:3], ("ann@example.com", "ann"))
            self.assertEqual(tables.execute("SELECT session_id, user_id FROM user_sessions").fetchall(), [("s1", row[0])])
            tables.execute("INSERT INTO users (user_id, user_email, username, password_hash, salt, created_at) VALUES "
                           "('f', 'Foreign@Example.com', 'Foreign', 'sha256$' || ?, 'cafe', CURRENT_TIMESTAMP)",
                           (hashlib.sha256(b"cafepassword123").hexdigest(),))
            tables.commit()
            tables.close()
            server.start()
            self.assertEqual(Client(server.port).login("foreign@example.com")[0], 200)
            with self.assertRaises(sqlite3.OperationalError):
                sqlite3.connect(os.path.join(server.data, "accounts.db"), timeout=0.1).execute("SELECT * FROM users").fetchall()

    def test_only_the_owner_can_read_the_key(self):
        with Server(secret=None) as server:
            self.assertEqual(os.stat(os.path.join(server.data, "jwt-secret")).st_mode & 0o777, 0o600)

    def test_a_database_is_removed_and_restored(self):
        with Server() as server:
            client = Client(server.port)
            client.register("ann")
            token = client.login("ann")[1]["access_token"]
            away = server.data + "-away"
            os.mkdir(away)
            names = [name for name in os.listdir(server.data) if name.startswith("accounts.db")]
            for name in names:
                shutil.move(os.path.join(server.data, name), away)
            time.sleep(1.1)
            self.assertEqual(client.send("GET", "/health")[0], 503)
            self.assertEqual(client.send("GET", "/get-sessions", token=token)[0], 503)
            self.assertEqual(client.login("ann")[0], 503)
            for name in names:
                shutil.move(os.path.join(away, name), server.data)
            os.rmdir(away)
            self.assertEqual(client.send("GET", "/health")[0], 200)
            self.assertEqual(client.send("GET", "/get-sessions", token=token)[0], 200)

    def test_a_drain_answers_requests_in_flight(self):
        with Server(rounds=3000000) as server:
            statuses = []
            thread = threading.Thread(target=lambda: statuses.append(Client(server.port).register("slow")[0]))
            thread.start()
            time.sleep(0.3)
            self.assertEqual(server.stop(), 0)
            thread.join()
            self.assertEqual(statuses, [201])

    def test_a_port_in_use_is_one_line(self):
        with Server() as server:
            other = subprocess.run([BINARY, "serve", "users", "--data", server.data + "-2", "--users-port", str(server.port)],
                                   capture_output=True, text=True, timeout=20)
            self.assertEqual(other.returncode, 2)
            self.assertEqual(other.stderr, f"parley: port {server.port} on 127.0.0.1 is in use\n")
            same = subprocess.run([BINARY, "serve", "users", "--data", server.data, "--users-port", "0"],
                                  capture_output=True, text=True, timeout=20)
            self.assertEqual(same.returncode, 2)
            self.assertIn("in use by another process", same.stderr)
            shutil.rmtree(server.data + "-2")


if __name__ == "__main__":
    unittest.main()
