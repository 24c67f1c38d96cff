#!/usr/bin/env python3
"""TLS and SASL on real brokers, and that no secret is ever printed: everything that is said here
goes through one place, which looks for all of them.

SCRAM is tried on a broker of version 3.9 where the library cannot do it with later ones, and what is
said about that on a later one is tested, too."""
import ctypes
import ctypes.util
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import kafka_harness  # noqa: E402
from harness import check, equal  # noqa: E402
from kafka_harness import Application  # noqa: E402

broker = None
SECRETS = {"password": "shop-secret", "wrong": "not-the-secret", "key": "key-secret",
           "pseudonyms": "pseudonym-secret"}
TLS, MUTUAL, SASL_TLS, SASL = 40, 41, 42, 43


def sasl_settings(mechanism, secret="{env: SHOP_PASSWORD}"):
    protocol = {"security.protocol": "sasl_plaintext", "sasl.mechanisms": mechanism,
                "sasl.username": "shop"}
    return protocol, {"sasl.password": secret}


class Shop(Application):
    """Reads a topic by way of one of the broker's guarded doors."""

    def __init__(self, server, work, door, properties, secrets, name=None):
        self.server, self.door = server, door
        self.summary = os.path.join(work, "summary.json")
        harness.write(os.path.join(work, "pseudonyms"), SECRETS["pseudonyms"])
        super().__init__(server, work, "clicks" + os.path.basename(work), name=name,
                         more=f"privacy: {{key_file: {work}/pseudonyms}}",
                         kafka=self.guard(properties, secrets))

    def guard(self, properties, secrets):
        return (f"  properties: {json.dumps(properties)}\n  secrets: "
                f"{{{', '.join(f'{name}: {value}' for name, value in secrets.items())}}}")

    def write(self, **changes):
        path = super().write(**changes)
        text = harness.read(path).decode()
        return harness.write(path, text.replace(self.server.servers,
                                                f"127.0.0.1:{self.server.port + self.door}"))

    def say(self, *arguments, code=0, password="password"):
        """What the program prints, all of it; none of it may be a secret."""
        result = harness.nudge(*arguments, env={"SHOP_PASSWORD": SECRETS[password]})
        said = result.out + result.errors
        kept = harness.read(self.summary).decode() if os.path.exists(self.summary) else ""
        for name, secret in SECRETS.items():
            check(secret not in said + kept, f"the secret \"{name}\" was printed by {arguments}:\n{said}")
        check(result.code == code, f"nudge {arguments}, exit {code} expected: {result}")
        return said

    def works(self, events=200):
        """Everything that talks to brokers goes through the door."""
        self.server.make(self.topic)
        self.server.send(self.topic, [json.dumps(harness.event(i, f"u{i % 9}"))
                                      for i in range(events)])
        self.say("check", self.path)
        self.say("topics", "create", self.path)
        self.say("topics", "check", self.path)
        self.say("run", self.path, "--state", self.state, "--summary", self.summary)
        equal(json.loads(harness.read(self.summary))["events_read"], events, "events")
        lag = self.say("lag", self.path)
        check(lag.rstrip().endswith(" 0"), f"lag: {lag}")
        check(len(self.outputs()[("sessions", 0)]) == 9, "sessions")


def certificates(server):
    return os.path.join(server.folder, "kafka", "tls")


def ssl_properties(server, **more):
    return {"security.protocol": "ssl", "ssl.ca.location": certificates(server) + "/ca.pem",
            **more}


def library_version():
    library = ctypes.CDLL(ctypes.util.find_library("rdkafka") or "librdkafka.so.1")
    return library.rd_kafka_version()


def test_tls_whose_certificate_is_checked(work):
    shop = Shop(broker, work, TLS, ssl_properties(broker), {})
    shop.works()
    # An authority that did not sign it.
    stranger = ssl_properties(broker)
    stranger["ssl.ca.location"] = certificates(broker) + "/client.pem"
    shop.write(kafka=shop.guard(stranger, {}))
    said = shop.say("topics", "check", shop.path, code=2)
    check("not let in" in said and "certificate verify failed" in said, said)


def test_tls_with_a_certificate_of_our_own(work):
    tls = certificates(broker)
    properties = ssl_properties(broker, **{"ssl.certificate.location": tls + "/client.pem",
                                           "ssl.key.location": tls + "/client.key"})
    secret = harness.write(os.path.join(work, "key"), SECRETS["key"] + "\n")
    Shop(broker, work, MUTUAL, properties, {"ssl.key.password": f"{{file: {secret}}}"}).works()
    wrong = harness.write(os.path.join(work, "wrong"), SECRETS["wrong"])
    shop = Shop(broker, work, MUTUAL, properties, {"ssl.key.password": f"{{file: {wrong}}}"})
    said = shop.say("topics", "check", shop.path, code=2)
    check("ssl.key" in said, said)
    shop.write(kafka=shop.guard(ssl_properties(broker), {}))
    said = shop.say("topics", "check", shop.path, code=2)
    check("not let in" in said, said)


def test_plain_with_and_without_tls(work):
    properties, secrets = sasl_settings("PLAIN")
    properties.update(ssl_properties(broker), **{"security.protocol": "sasl_ssl"})
    Shop(broker, work, SASL_TLS, properties, secrets).works()
    shop = Shop(broker, work, SASL, *sasl_settings("PLAIN"))
    shop.say("topics", "create", shop.path)
    shop.say("run", shop.path, "--state", shop.state, "--summary", shop.summary)
    said = shop.say("topics", "check", shop.path, code=2, password="wrong")
    check("not let in" in said and "Authentication failed" in said, said)
    said = shop.say("run", shop.path, "--state", shop.state, code=2, password="wrong")
    check("not let in" in said, said)
    said = shop.say("lag", shop.path, code=2, password="wrong")
    check("not let in" in said, said)


def test_scram_by_both_hashes(work):
    is_old = library_version() < 0x020601FF
    server = kafka_harness.Broker(secure=True, version="3.9.1") if is_old else broker
    try:
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
            inner = os.path.join(work, mechanism.lower())
            os.mkdir(inner)
            shop = Shop(server, inner, SASL, *sasl_settings(mechanism))
            shop.works()
        said = shop.say("topics", "check", shop.path, code=2, password="wrong")
        check("not let in" in said, said)
    finally:
        if is_old:
            server.close()
    refuses_old = not os.environ.get("NUDGE_KAFKA_VERSION", "4").startswith("3.")
    if is_old and refuses_old:
        shop = Shop(broker, work, SASL, *sasl_settings("SCRAM-SHA-512"))
        said = shop.say("topics", "check", shop.path, code=2)
        check("2.6.1 can" in said, f"the version that can is named: {said}")


def test_secrets_have_a_place_of_their_own(work):
    properties, secrets = sasl_settings("PLAIN")
    shop = Shop(broker, work, SASL, {**properties, "sasl.password": SECRETS["password"]}, {})
    said = shop.say("check", shop.path, code=2)
    check("sasl.password" in said and "kafka.secrets" in said, said)
    shop.write(kafka=shop.guard(properties, {"sasl.password": SECRETS["password"]}))
    said = shop.say("check", shop.path, code=2)
    check("{env: NAME} or {file: PATH}" in said, said)
    shop.write(kafka=shop.guard(properties, {"sasl.password": "{env: NOWHERE_TO_BE_FOUND}"}))
    said = shop.say("topics", "check", shop.path, code=2)
    check("NOWHERE_TO_BE_FOUND" in said, said)
    shop.write(kafka=shop.guard(properties, {"sasl.passwort": "{env: SHOP_PASSWORD}"}))
    said = shop.say("topics", "check", shop.path, code=2)
    check("sasl.passwort" in said, said)
    # Any other property of the library, and what it says about a wrong one.
    shop.write(kafka=shop.guard({**properties, "socket.keepalive.enable": "maybe"}, secrets))
    said = shop.say("topics", "check", shop.path, code=2)
    check("socket.keepalive.enable" in said, said)
    shop.write(kafka=shop.guard({**properties, "debug": "all", "client.rack": "a1"}, secrets))
    said = shop.say("topics", "check", shop.path, code=2)
    check("no such topic" in said, said)


if __name__ == "__main__":
    kafka_harness.main(sys.modules[__name__], secure=True)
