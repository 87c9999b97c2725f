"""PyJWT reads Parley's tokens, and Parley reads PyJWT's. Forged tokens are refused."""

import base64
import hashlib
import hmac
import json
import time
import unittest

import jwt

from harness import SECRET, Client, Server


def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


class Tokens(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server().start()
        cls.client = Client(cls.server.port)
        assert cls.client.register("ann")[0] == 201
        status, cls.tokens = cls.client.login("ann")
        assert status == 200

    @classmethod
    def tearDownClass(cls):
        cls.server.kill()
        cls.server.folder.cleanup()

    def status(self, token):
        return self.client.send("GET", "/get-sessions", token=token)[0]

    def test_pyjwt_verifies_and_reads(self):
        for kind in ("access", "refresh"):
            claims = jwt.decode(self.tokens[kind + "_token"], SECRET, algorithms=["HS256"],
                                options={"require": ["sub", "type", "exp", "iat", "jti"]})
            self.assertEqual(claims["type"], kind)
            self.assertRegex(claims["sub"], "^[0-9a-f]{64}$")
        lifetime = jwt.decode(self.tokens["access_token"], SECRET, algorithms=["HS256"])
        self.assertEqual(lifetime["exp"] - lifetime["iat"], 3600)

    def test_tokens_of_pyjwt_are_read(self):
        claims = jwt.decode(self.tokens["access_token"], SECRET, algorithms=["HS256"])
        self.assertEqual(self.status(jwt.encode(claims, SECRET, algorithm="HS256")), 200)

    def test_attacks(self):
        good = self.tokens["access_token"]
        claims = jwt.decode(good, SECRET, algorithms=["HS256"])
        head, body, signature = good.split(".")
        none = part({"alg": "none", "typ": "JWT"}) + "." + body + "."
        swapped = part({"alg": "HS512", "typ": "JWT"}) + "." + body
        attacks = {
            "none": none, "none with a signature": none + signature, "None": part({"alg": "None"}) + "." + body + ".",
            "HS512": jwt.encode(claims, SECRET, algorithm="HS512"), "HS384": jwt.encode(claims, SECRET, algorithm="HS384"),
            "algorithm swapped, signature right": swapped + "." + base64.urlsafe_b64encode(
                hmac.new(SECRET.encode(), swapped.encode(), hashlib.sha256).digest()).rstrip(b"=").decode(),
            "another key": jwt.encode(claims, "another key of at least thirty-two bytes", algorithm="HS256"),
            "an empty key": jwt.encode(claims, "", algorithm="HS256"),
            "refresh token": self.tokens["refresh_token"], "expired": jwt.encode({**claims, "exp": int(time.time()) - 1}, SECRET, algorithm="HS256"),
            "exp as text": head + "." + part({**claims, "exp": "4000000000"}) + "." + signature,
            "truncated": good[:-5], "two parts": head + "." + body, "four parts": good + ".x", "empty": "", "dots": "..", "padding": good + "=",
            "huge": good + "A" * 20000, "not base64": "!.!.!", "another signature": head + "." + body + "." + "A" * 43,
        }
        for claim in ("sub", "type", "exp", "iat", "jti"):
            attacks["without " + claim] = jwt.encode({k: v for k, v in claims.items() if k != claim}, SECRET, algorithm="HS256")
        for name, token in attacks.items():
            with self.subTest(name):
                self.assertEqual(self.status(token), 401)
        self.assertEqual(self.status(good), 200)


if __name__ == "__main__":
    unittest.main()
