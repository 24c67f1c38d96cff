"""Ports for brokers, proxies and metrics that nobody else has: neither another test at the same time
nor a client's connection, which the system gives one above those."""
import os
import random
import socket

BLOCK = 50  # Of a broker with its controller, proxied and guarded doors: see scripts/kafka.sh.
LOWEST = 10000
held = []  # Names of blocks, for as long as this process lives.


def highest():
    """The system gives out ports from here on by itself."""
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
            return max(LOWEST + 100 * BLOCK, min(32768, int(file.read().split()[0])))
    except OSError:
        return 32768


def is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # As servers do.
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def is_taken_by_us(block):
    """A name that one process on this machine can have at a time, and that goes when it ends."""
    name = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        name.bind(f"\0nudge-test-ports-{block}")
    except OSError:
        name.close()
        return False
    held.append(name)
    return True


def free_port():
    """The first of a block of ports of which none is in use, and that is ours until we end."""
    blocks = list(range(LOWEST, highest() - BLOCK, BLOCK))
    random.Random(os.urandom(8)).shuffle(blocks)
    for block in blocks:
        if is_taken_by_us(block):
            if all(is_free(port) for port in range(block, block + BLOCK)):
                return block
            held.pop().close()
    raise OSError(f"no {BLOCK} ports in a row are free")
