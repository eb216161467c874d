"""`python -m tests.fuzz.bombs`: crafted input that asks for as much time and memory as it can; none is given.

In a process of its own with a limit: what asks for more than `ROOM` beyond what it began with, dies.
"""

from __future__ import annotations

import resource
from pathlib import Path

import zstandard

from appliance_s3.client import MAX_ANSWER
from tests.fuzz.targets import TARGETS, run

ROOM = 700 << 20
"""Bytes; the largest file that may be unpacked, an index, has 256 MiB, and takes twice that while it is."""


def bombs() -> dict[str, list[bytes]]:
    """By target."""
    zeros = zstandard.ZstdCompressor().compress(bytes(200 << 20))
    stream = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    unsized = b"".join(stream.compress(bytes(1 << 20)) for _ in range(300)) + stream.flush()
    deep = b'{"nodes":' + b"[" * 200_000
    objects = b'{"packs":[' + b'{"id":' * 100_000
    wide = MAX_ANSWER // 4
    xml = {
        "s3-listing": b"ListBucketResult",
        "s3-versions": b"ListVersionsResult",
        "s3-versioning": b"VersioningConfiguration",
        "s3-parts": b"ListPartsResult",
        "s3-uploads": b"ListMultipartUploadsResult",
        "s3-upload-id": b"InitiateMultipartUploadResult",
        "s3-completed": b"CompleteMultipartUploadResult",
        "s3-object-lock": b"ObjectLockConfiguration",
        "s3-refusal": b"Error",
    }
    entities = b'<!DOCTYPE a [<!ENTITY b "' + b"x" * 1000 + b'">]><a>' + b"&b;" * 100_000 + b"</a>"
    found = {
        name: [b"<%s>%s</%s>" % (root, b"<a/>" * wide, root), b"<%s>" % root + b"<a>" * wide, entities, b"<" * wide]
        for name, root in xml.items()
    }
    number = b"9" * 1_000_000
    found["s3-listing"] += [
        b"<ListBucketResult><Contents><Key>k</Key><Size>%s</Size></Contents></ListBucketResult>" % size
        for size in (number, b"-5", b"1_000", "５".encode(), b"1e3", b"")
    ]
    found["s3-parts"] += [
        b"<ListPartsResult><Part><Size>%s</Size></Part></ListPartsResult>" % size for size in (number, b"-5", b"")
    ]
    found["frame"] = [zeros, unsized, zeros[:-1], b"\x28\xb5\x2f\xfd" + bytes(100)]
    found["unpacked"] = [zeros, unsized]
    found["tree"] = [deep, b'{"nodes":[{"name":"' + b"\\\\u00" * 100_000 + b'"}]}', b'{"nodes":[{"size":%s}]}' % number]
    found["index"] = [objects, b'{"packs":[{"id":"%s","blobs":[]}]}' % (b"a" * (1 << 20))]
    found["snapshot"] = [deep, b'{"time":"%s","tree":"%s"}' % (number, b"ab" * 32)]
    found["key"] = [TARGETS["key"].samples[0].replace(b'"N":16', b'"N":%d' % cost) for cost in (1 << 40, 1 << 24, 0, 3)]
    found["header"] = [bytes(37) * 100_000, b"\x02" + bytes(40)]
    found["name"] = [b"\\" * 1_000_001, b"\\U" + b"f" * 100]
    found["time"] = [number, number + b"-01-01T00:00:00Z", b"2026-01-01T00:00:00." + number + b"Z"]
    return found


def main() -> None:
    all_of_them = bombs()
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, used + ROOM))
    for name, made in all_of_them.items():
        for number, bomb in enumerate(made):
            read = run(TARGETS[name], bomb)
            print(f"{name} {number}: {'read' if read else 'refused'}", flush=True)


if __name__ == "__main__":
    main()
