"""Stands between clients and a server, and does to their connections what networks do."""
import random
import select
import socket
import struct
import threading
import time


class FaultyProxy:
    """Faults: cut (both sides reset), stall (nothing passes for a while), and hold: the client is
    reset at once, while what it had sent reaches the server only later, as a request does that was
    given up and turns up when its client has gone on."""

    def __init__(self, port, server_port, seed):
        self.server_port = server_port
        self.randomness = random.Random(seed)
        self.lock = threading.Lock()
        self.connections = set()
        self.counts = {"cut": 0, "stalled": 0, "held back": 0}
        self.is_faulty = False
        self.pending = []
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self.accept, daemon=True).start()
        threading.Thread(target=self.disturb, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            try:
                server = socket.create_connection(("127.0.0.1", self.server_port))
            except OSError:
                reset(client)
                continue
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = {"client": client, "server": server, "fault": None, "until": 0.0}
            with self.lock:
                self.connections.add(id(connection))
            threading.Thread(target=self.forward, args=(connection,), daemon=True).start()

    def disturb(self):
        """Draws a fault now and then; the next connection with bytes to pass has it."""
        while True:
            time.sleep(self.randomness.uniform(0.05, 0.6))
            if self.is_faulty and not self.pending:
                self.pending.append(self.randomness.choice(["cut", "stall", "hold", "hold"]))

    def forward(self, connection):
        client, server = connection["client"], connection["server"]
        try:
            while True:
                ready, _, _ = select.select([client, server], [], [])
                for end in ready:
                    data = end.recv(1 << 18)
                    if not data:
                        return
                    fault = self.pending.pop() if self.pending else None
                    if fault == "hold" and end is server:
                        self.pending.append(fault)
                        fault = None
                    if fault == "cut":
                        self.counts["cut"] += 1
                        reset(client)
                        reset(server)
                        return
                    if fault == "stall":
                        self.counts["stalled"] += 1
                        time.sleep(self.randomness.uniform(0.05, 2.0))
                    if fault == "hold":
                        self.counts["held back"] += 1
                        reset(client)
                        time.sleep(self.randomness.uniform(0.02, 1.0))
                        server.sendall(data)
                        time.sleep(0.2)
                        return
                    (server if end is client else client).sendall(data)
        except OSError:
            pass
        finally:
            client.close()
            server.close()


def reset(end):
    """Closes with a reset, so that the other side hears of it at once."""
    try:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError:
        pass
    end.close()
