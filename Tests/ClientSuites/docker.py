"""A stand-in for the Docker API.

The suite of aio-pika starts its brokers as containers, stops and kills them. Here a container is a
broker of its own, and another one over TLS if its port is asked for. `rabbitmqctl stop_app` in a
container stops the brokers in order, and `start_app` starts them again. So the suite needs no
change.
"""

import http.server
import json
import re
import threading


class Container:
    """Brokers by the name of their port in the container."""

    def __init__(self, brokers):
        self.brokers, self.running = brokers, True

    def start(self):
        if not self.running:
            for broker in self.brokers.values():
                broker.start()
            self.running = True

    def stop(self, way):
        """Ends the brokers. `way` is `stop` or `kill`."""
        self.running = False
        for broker in self.brokers.values():
            getattr(broker, way)()

    def has_crashed(self):
        return self.running and not all(broker.running() for broker in self.brokers.values())


class StandIn:
    """Serves the calls that the suite makes. `start(ports)` starts the brokers of a container, and
    returns them by the names of their ports."""

    def __init__(self, start):
        containers, commands, lock = {}, [], threading.Lock()
        self.containers = containers

        def serve(method, path, body):
            """Returns the answer to a request."""
            if path == "/images/create":
                return {}
            if path == "/containers/create":
                containers[name := f"broker{len(containers) + 1}"] = Container(start(list(body["ExposedPorts"])))
                return {"Id": name}
            if found := re.fullmatch(r"/exec/(\d+)/(start|json)", path):
                if found[2] == "start":
                    container, command = commands[int(found[1])]
                    container.start() if command == "start_app" else container.stop("stop")
                return {"Running": False, "ExitCode": 0}
            name, action = re.fullmatch(r"/containers/(\w+)/?(start|json|stop|kill|exec)?", path).groups()
            container = containers[name]
            if action == "start":
                container.start()
            elif action in ("stop", "kill") or method == "DELETE":
                container.stop("kill" if action != "stop" else action)
            elif action == "exec":
                program, command = body["Cmd"]
                if program != "rabbitmqctl" or command not in ("stop_app", "start_app"):
                    raise ValueError(f"no such command: {body['Cmd']}")
                commands.append((container, command))
                return {"Id": str(len(commands) - 1)}
            ports = {port: [{"HostIp": "127.0.0.1", "HostPort": str(broker.port)}] for port, broker in container.brokers.items()}
            return {"Id": name, "NetworkSettings": {"Ports": ports}}

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                size = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(size)) if size else {}
                try:
                    with lock:
                        code, answer = 200, serve(self.command, self.path.split("?")[0], body)
                except Exception as error:
                    code, answer = 500, {"message": repr(error)}
                data = json.dumps(answer).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_POST = do_GET = do_DELETE = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"tcp://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def has_crashed(self):
        """Whether a broker has ended that should run."""
        return any(container.has_crashed() for container in self.containers.values())

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
