"""The headers that records have which are sent on, and where they are sent to."""
import struct

from harness import equal

MARKER, ENDED, AHEAD, CUT = 1, 2, 4, 8


def murmur2(data):
    """As org.apache.kafka.common.utils.Utils has it."""
    m, h, mask = 0x5bd1e995, 0x9747b28c ^ len(data), 0xffffffff
    whole = len(data) // 4 * 4
    for i in range(0, whole, 4):
        k = struct.unpack_from("<I", data, i)[0] * m & mask
        k = (k ^ k >> 24) * m & mask
        h = h * m & mask ^ k
    if whole < len(data):
        h = (h ^ int.from_bytes(data[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def partition_of(user, count):
    """Where Apache's producers put a record that is keyed by that user."""
    return (murmur2(user.encode()) & 0x7fffffff) % count


class Mark:
    """The header nudge.route."""

    def __init__(self, record):
        (header,) = [value for name, value in record["headers"] if name == "nudge.route"]
        version, self.flags, self.partition, self.offset, self.time_ms, self.mark_ms = \
            struct.unpack_from("<BBIqqq", header)
        equal(version, 1, "version of the header")
        rest = header[30:]
        if self.flags & CUT:
            self.length, self.sha256 = struct.unpack_from("<Q", rest)[0], rest[8:72].decode()
            rest = rest[72:]
        self.topic = rest.decode()
        self.place = (self.topic, self.partition, self.offset)


class HopMark:
    """The header nudge.hop."""

    def __init__(self, record):
        (header,) = [value for name, value in record["headers"] if name == "nudge.hop"]
        version, self.flags, count, self.partition, self.mark_ms, self.hash = \
            struct.unpack_from("<BBHIqQ", header)
        equal(version, 1, "version of the header")
        equal(len(header), 24 + 4 * count, "bytes of the header")
        self.values = struct.unpack_from(f"<{count}f", header, 24)
