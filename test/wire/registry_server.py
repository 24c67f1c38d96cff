#!/usr/bin/env python3
"""A schema registry for tests, on loopback only.

Follows the HTTP interface that Confluent published for theirs (Schema Registry API Reference, v1), as far as a client
of Avro schemas needs it: /schemas/types, /schemas/ids/{id}, /subjects/{subject}/versions, /subjects/{subject},
/compatibility/subjects/{subject}/versions/latest; error codes 40401, 40402, 40403, 409, 42201, 401. Not their program:
compatibility is checked in the mode BACKWARD, by the rules of the Avro specification, for records of plain fields.

Prints "PORT\n", then obeys lines on standard input, each answered with a line:
  add ID SCHEMA       a schema that is known
  raw ID JSON         what is answered for an id, as it is
  fail CODE COUNT     the next COUNT requests are answered CODE; 0: the connection is closed
  delay MS            before each answer
  count               how many requests came
Options: --user NAME:PASSWORD, --token TOKEN, --tls CERTIFICATE KEY, --port PORT.
"""
import argparse
import base64
import http.server
import json
import ssl
import sys
import threading
import time
import urllib.parse

MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
PROMOTIONS = {"int": {"long", "float", "double"}, "long": {"float", "double"}, "float": {"double"},
              "string": {"bytes"}, "bytes": {"string"}}


class Registry:
    def __init__(self):
        self.lock = threading.Lock()
        self.schemas = {}  # id -> answer
        self.subjects = {}  # subject -> [id]
        self.fail_code = 0
        self.fail_count = 0
        self.delay = 0.0
        self.count = 0

    def id_of(self, schema):
        for known, answer in self.schemas.items():
            if answer.get("schema") == schema:
                return known
        known = max(self.schemas, default=0) + 1
        self.schemas[known] = {"schema": schema}
        return known


def branches(kind):
    return kind if isinstance(kind, list) else [kind]


def reads(reader, writer):
    """Whether data of the type `writer` can be read as `reader`."""
    for one in branches(writer):
        if not any(one == other or (isinstance(one, str) and isinstance(other, str) and
                                    other in PROMOTIONS.get(one, ())) for other in branches(reader)):
            return False
    return True


def incompatibilities(new, old):
    old_fields = {field["name"]: field for field in old["fields"]}
    for field in new["fields"]:
        names = [field["name"]] + field.get("aliases", [])
        before = next((old_fields[name] for name in names if name in old_fields), None)
        if before is None and "default" not in field:
            yield f"READER_FIELD_MISSING_DEFAULT_VALUE: {field['name']}"
        elif before is not None and not reads(field["type"], before["type"]):
            yield f"TYPE_MISMATCH: {field['name']}"


class Problem(Exception):
    def __init__(self, code, error_code, message):
        super().__init__(message)
        self.code = code
        self.error_code = error_code


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    registry = Registry()
    authorization = None

    def log_message(self, *_):
        pass

    def answer(self, code, body):
        content = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", MEDIA_TYPE)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def handle_request(self, body):
        registry = self.registry
        with registry.lock:
            registry.count += 1
            delay = registry.delay
            failing = registry.fail_count > 0
            registry.fail_count -= failing
            code = registry.fail_code
        time.sleep(delay)
        if failing:
            if code == 0:
                self.close_connection = True
                return
            self.answer(code, {"error_code": code * 100 + 1, "message": "made to fail"})
            return
        try:
            if self.authorization and self.headers.get("Authorization") not in self.authorization:
                raise Problem(401, 401, "Unauthorized")
            with registry.lock:
                result = self.route(registry, body)
            self.answer(200, result)
        except Problem as problem:
            self.answer(problem.code, {"error_code": problem.error_code, "message": str(problem)})

    def route(self, registry, body):
        parts = [urllib.parse.unquote(part) for part in urllib.parse.urlparse(self.path).path.split("/")[1:]]
        if body is None:
            if parts == ["schemas", "types"]:
                return ["JSON", "PROTOBUF", "AVRO"]
            if parts[:2] == ["schemas", "ids"] and len(parts) == 3:
                if int(parts[2]) not in registry.schemas:
                    raise Problem(404, 40403, f"Schema {parts[2]} not found")
                return registry.schemas[int(parts[2])]
            raise Problem(404, 404, "HTTP 404 Not Found")
        if self.headers.get("Content-Type") != MEDIA_TYPE:
            raise Problem(415, 415, "HTTP 415 Unsupported Media Type")
        try:
            schema = body["schema"]
            parsed = json.loads(schema)
        except (KeyError, ValueError):
            raise Problem(422, 42201, "Input schema is an invalid Avro schema") from None
        if parts[0] == "subjects" and len(parts) == 3 and parts[2] == "versions":
            ids = registry.subjects.get(parts[1], [])
            if ids:
                found = list(incompatibilities(parsed, json.loads(registry.schemas[ids[-1]]["schema"])))
                if found:
                    raise Problem(409, 409, "Schema being registered is incompatible: " + found[0])
            known = registry.id_of(schema)
            if known not in ids:
                registry.subjects[parts[1]] = ids + [known]
            return {"id": known}
        if parts[0] == "subjects" and len(parts) == 2:
            if parts[1] not in registry.subjects:
                raise Problem(404, 40401, f"Subject '{parts[1]}' not found.")
            for version, known in enumerate(registry.subjects[parts[1]]):
                if registry.schemas[known]["schema"] == schema:
                    return {"subject": parts[1], "id": known, "version": version + 1, "schema": schema}
            raise Problem(404, 40403, "Schema not found")
        if parts[:2] == ["compatibility", "subjects"]:
            if parts[2] not in registry.subjects:
                raise Problem(404, 40401, f"Subject '{parts[2]}' not found.")
            latest = json.loads(registry.schemas[registry.subjects[parts[2]][-1]]["schema"])
            found = list(incompatibilities(parsed, latest))
            return {"is_compatible": not found, "messages": found}
        raise Problem(404, 404, "HTTP 404 Not Found")

    def do_GET(self):
        self.handle_request(None)

    def do_POST(self):
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            self.handle_request(json.loads(content))
        except ValueError:
            self.handle_request({})


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # Clients of the tests hang up in the middle.


def obey(registry):
    for line in sys.stdin:
        words = line.rstrip("\n").split(" ", 2)
        reply = "ok"
        with registry.lock:
            if words[0] == "add":
                registry.schemas[int(words[1])] = {"schema": words[2]}
            elif words[0] == "raw":
                registry.schemas[int(words[1])] = json.loads(words[2])
            elif words[0] == "fail":
                registry.fail_code, registry.fail_count = int(words[1]), int(words[2])
            elif words[0] == "delay":
                registry.delay = int(words[1]) / 1000
            elif words[0] == "count":
                reply = str(registry.count)
            else:
                reply = "unknown command"
        print(reply, flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--user")
    parser.add_argument("--token")
    parser.add_argument("--tls", nargs=2)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    accepted = []
    if options.user:
        accepted.append("Basic " + base64.b64encode(options.user.encode()).decode())
    if options.token:
        accepted.append("Bearer " + options.token)
    Handler.authorization = accepted
    server = Server(("127.0.0.1", options.port), Handler)
    if options.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*options.tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    obey(Handler.registry)


if __name__ == "__main__":
    main()
