"""schemathesis tests a live service against its OpenAPI document: no 5xx, and no response that the
document does not allow."""

import json
import os
import subprocess
import sys
import unittest
import urllib.parse

from harness import Client, Server

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,unsupported_method"


def example(schema):
    """Returns a value of this schema."""
    if "anyOf" in schema:
        return example(schema["anyOf"][0])
    for choices in ("examples", "enum"):
        if choices in schema:
            return schema[choices][0]
    match schema.get("type"):
        case "string": return "x" * schema.get("minLength", 1)
        case "integer": return max(schema["minimum"], 1)
        case "boolean": return False
        case "array": return []
        case "object": return {name: example(schema["properties"][name]) for name in schema.get("required", [])}
    return "anything"


def beyond(schema, name=""):
    """Yields values one beyond each limit of this schema, with the limit's name. The value is None
    for a limit that is missing."""
    match schema.get("type"):
        case "string" if "enum" in schema:
            yield name, "neither"
        case "string":
            yield name, "x" * (schema["maxLength"] + 1) if "maxLength" in schema else None
        case "integer":
            yield f"{name} below", schema["minimum"] - 1 if "minimum" in schema else None
            yield f"{name} above", schema["maximum"] + 1 if "maximum" in schema else None
        case "array":
            yield name, [example(schema["items"])] * (schema["maxItems"] + 1) if "maxItems" in schema else None
            for inner, value in beyond(schema["items"], f"{name}[0]"):
                yield inner, None if value is None else [value]
        case "object":
            for field, shape in schema["properties"].items():
                for inner, value in beyond(shape, f"{name}.{field}"):
                    yield inner, None if value is None else {**example(schema), field: value}
    for shape in schema.get("anyOf", []):
        # A value beyond one alternative may match another one. A value beyond a number matches
        # none.
        for inner, value in beyond(shape, name):
            if shape.get("type") != "string" or value is None:
                yield inner, value


class OpenAPI(unittest.TestCase):
    def run_schemathesis(self, server, *more, url=None):
        tool = os.path.join(os.path.dirname(sys.executable), "schemathesis")
        result = subprocess.run(
            [tool, "run", (url or server.url) + "/openapi.json", "--checks", CHECKS, "--max-examples", "40", "--seed", "1",
             "--exclude-path", "/session-events", "--request-timeout", "10", "--no-color", *more],
            capture_output=True, text=True, timeout=400)
        self.assertEqual(result.returncode, 0, result.stdout[-6000:] + result.stderr[-2000:])

    def test_without_a_token(self):
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

    def test_limits_are_stated_and_kept(self):
        """Each string, number and array that a client sends has a limit, and a value one beyond it
        is answered with 400."""
        with Server(services=("broker", "users", "manager", "supervisor", "chat", "customers")) as server:
            users = Client(server.ports["users"])
            users.register("ann")
            token = users.login("ann")[1]["access_token"]
            checked = 0

            def known(service, path):
                """The token of operators, or of the user."""
                if path.startswith("/operator/"):
                    with open(os.path.join(server.data, f"operator-{service}.json")) as file:
                        return json.load(file)["token"]
                return token if service == "users" else None

            def check(service, method, path, what, query="", body=None, headers=None):
                nonlocal checked
                client = Client(server.ports[service])
                status, answer = client.send(method, path + query, body, token=known(service, path), headers=headers)
                client.connection.close()
                self.assertEqual(status, 400, answer)
                self.assertIn(what.lstrip(".").split()[0], json.dumps(answer))
                checked += 1

            for service in ("users", "chat", "customers", "manager"):
                document = Client(server.ports[service]).send("GET", "/openapi.json")[1]
                for path, operations in document["paths"].items():
                    for method, operation in operations.items():
                        parameters = {parameter["name"]: parameter for parameter in operation.get("parameters", [])}
                        required = {name: example(parameter["schema"]) for name, parameter in parameters.items() if parameter["required"]}
                        for name, parameter in parameters.items():
                            for what, value in beyond(parameter["schema"], name):
                                with self.subTest(service, path=path, method=method, parameter=what):
                                    self.assertIsNotNone(value, "no limit is stated")
                                    if parameter["in"] == "query":
                                        query = urllib.parse.urlencode({**required, name: value}, doseq=True)
                                        check(service, method.upper(), path, what, "?" + query)
                                    else:
                                        # The limits of fields are checked before the body.
                                        check(service, method.upper(), path, what, headers={name: str(value)})
                        if "requestBody" in operation:
                            for what, value in beyond(operation["requestBody"]["content"]["application/json"]["schema"]):
                                with self.subTest(service, path=path, method=method, body=what):
                                    self.assertIsNotNone(value, "no limit is stated")
                                    check(service, method.upper(), path, what, body=value)
            self.assertGreater(checked, 80)


if __name__ == "__main__":
    unittest.main()
