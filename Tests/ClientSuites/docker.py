"""A stand-in for the Docker API.

The suite of aio-pika starts its broker as a container and asks Docker for its ports. This server
answers with the ports of a broker that is running already, so the suite needs no change.
"""

import http.server
import json
import threading


class StandIn:
    """Serves the calls that the suite makes. `ports` maps `5672/tcp` and `5671/tcp` to ports."""

    def __init__(self, ports):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, code, body):
                data = json.dumps(body).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_POST(self):
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.answer(201, {"Id": "broker"})

            def do_DELETE(self):
                self.answer(200, {})

            def do_GET(self):
                bindings = {name: [{"HostIp": "127.0.0.1", "HostPort": str(port)}] for name, port in ports.items()}
                self.answer(200, {"Id": "broker", "NetworkSettings": {"Ports": bindings}})

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"tcp://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
