"""schemathesis runs the OpenAPI document against the live service: no 5xx, no answer that the document does not allow."""

import os
import subprocess
import sys
import unittest

from harness import Client, Server

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,unsupported_method"


class OpenAPI(unittest.TestCase):
    def run_schemathesis(self, server, *more, url=None):
        tool = os.path.join(os.path.dirname(sys.executable), "schemathesis")
        result = subprocess.run(
            [tool, "run", (url or server.url) + "/openapi.json", "--checks", CHECKS, "--max-examples", "40", "--seed", "1",
             "--exclude-path", "/session-events", "--request-timeout", "10", "--no-color", *more],
            capture_output=True, text=True, timeout=400)
        self.assertEqual(result.returncode, 0, result.stdout[-6000:] + result.stderr[-2000:])

    def test_as_anybody(self):
        with Server() as server:
            self.run_schemathesis(server)

    def test_with_a_token(self):
        with Server() as server:
            client = Client(server.port)
            client.register("ann")
            token = client.login("ann")[1]["access_token"]
            self.run_schemathesis(server, "--header", "Authorization: Bearer " + token, "--exclude-path", "/delete-user")

    def test_the_other_services(self):
        with Server(services=("broker", "users", "manager", "supervisor", "chat", "customers")) as server:
            for service in ("chat", "customers", "manager"):
                with self.subTest(service):
                    self.run_schemathesis(server, url=server.urls[service])


if __name__ == "__main__":
    unittest.main()
