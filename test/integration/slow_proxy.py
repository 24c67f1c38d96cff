"""Stands between clients and a server, and lets a connection that brings much bring it slowly."""
import socket
import threading
import time

FREE_BYTES = 200000  # A connection passes so much as fast as it comes.
SLOW_BYTES = 700    # Then, while it is to be slow, so much at a time.
SLOW_S = 0.1


class SlowProxy:
    def __init__(self, port, server_port):
        self.server_port = server_port
        self.is_slow = False
        self.slowed = 0  # Connections that were made to wait.
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.server_port))
            except OSError:
                client.close()
                continue
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.forward, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self.forward, args=(server, client, True), daemon=True).start()

    def forward(self, source, target, is_answer):
        passed = 0
        was_slow = False
        try:
            while True:
                is_slow = is_answer and self.is_slow and passed > FREE_BYTES
                if is_slow:
                    self.slowed += not was_slow
                    was_slow = True
                    time.sleep(SLOW_S)
                data = source.recv(SLOW_BYTES if is_slow else 1 << 16)
                if not data:
                    break
                target.sendall(data)
                passed += len(data)
        except OSError:
            pass
        finally:
            for end in (source, target):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def close(self):
        self.listener.close()
