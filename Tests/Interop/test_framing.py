"""Ambiguous framing is answered with 400 and the connection is closed. Sizes and time-outs have
their own status codes."""

import unittest

from harness import Client, Server, raw

HEAD = b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


class Framing(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--head-timeout", "500ms").start()

    @classmethod
    def tearDownClass(cls):
        cls.server.kill()
        cls.server.folder.cleanup()

    def refused(self, data, status=400):
        answer = raw(self.server.port, data)
        self.assertTrue(answer.startswith(b"HTTP/1.1 %d " % status), answer[:100])
        self.assertEqual(answer.count(b"HTTP/1.1 "), 1, answer)
        self.assertIn(b"x-request-id: ", answer)

    def test_ambiguous(self):
        smuggled = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
        cases = {
            "both lengths": HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "two lengths": HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
            "list of lengths": HEAD + b"Content-Length: 2, 2\r\n\r\n{}",
            "signed length": HEAD + b"Content-Length: +2\r\n\r\n{}",
            "obs-fold": b"GET /health HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
            "bare LF": b"GET /health HTTP/1.1\nHost: x\n\n", "bare LF in a field": b"GET /health HTTP/1.1\r\nHost: x\nA: b\r\n\r\n",
            "bare CR": b"GET /health HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n", "space before the colon": b"GET /health HTTP/1.1\r\nHost : x\r\n\r\n",
            "no Host": b"GET /health HTTP/1.1\r\n\r\n", "two Hosts": b"GET /health HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
            "odd chunk size": HEAD + b"Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n",
            "chunk longer than said": HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
            "control in a chunk extension": HEAD + b"Transfer-Encoding: chunked\r\n\r\n2;\x01\r\n{}\r\n0\r\n\r\n",
            "bare LF in a chunk extension": HEAD + b"Transfer-Encoding: chunked\r\n\r\n2;a\n{}\r\n0\r\n\r\n",
            "endless chunk extensions": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1;%b\r\n{\r\n" % (b"a" * 200) * 40,
            "unknown coding": HEAD + b"Transfer-Encoding: gzip\r\n\r\n",
        }
        for name, data in cases.items():
            with self.subTest(name):
                self.refused(data + smuggled)

    def test_sizes(self):
        self.refused(b"GET /" + b"a" * 40000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414)
        self.refused(b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 40000 + b"\r\n\r\n", 431)
        self.refused(HEAD + b"Content-Length: 2000000\r\n\r\n", 413)

    def test_slow_requests_time_out(self):
        self.refused(b"GET /health HTTP/1.1\r\nHos", 408)

    def test_pipelining_chunks_and_continue(self):
        body = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 3 + b"HEAD /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        answer = raw(self.server.port, body)
        self.assertEqual(answer.count(b"HTTP/1.1 200 OK"), 4)
        self.assertTrue(answer.endswith(b"\r\n\r\n"))
        chunked = HEAD + b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
        answer = raw(self.server.port, chunked + b"2;a=b\r\n{}\r\n0\r\n\r\n")
        self.assertIn(b"user: missing", answer)

    def test_a_connection_is_kept_alive(self):
        client = Client(self.server.port)
        self.assertEqual(client.send("GET", "/health")[0], 200)
        self.assertEqual(client.send("GET", "/health")[0], 200)


if __name__ == "__main__":
    unittest.main()
