"""Everything that reads back what somebody else may have changed: one function each, and sound samples to begin with.

A target takes any bytes. It returns, or the reader under test raises its own typed error; anything else is a find.
"""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import requests

from appliance.errors import KurabakoError
from appliance.repository import BlobType, Repository, encode_tree, encode_xattrs
from appliance.repository import keys as key_files
from appliance.repository.compression import compress, decompress, decompress_many
from appliance.repository.config import decode_config, new_config
from appliance.repository.crypto import MasterKey, Sealer
from appliance.repository.errors import DamagedData
from appliance.repository.files import load_json
from appliance.repository.ids import FileType
from appliance.repository.index import Index
from appliance.repository.indexcolumns import index_columns
from appliance.repository.indexfile import decode_index, encode_index, read_index
from appliance.repository.lock import decode_lock
from appliance.repository.names import unquote_name
from appliance.repository.pack import PackedBlob, decode_header, encode_header, finish_pack, read_header
from appliance.repository.snapshot import decode_snapshot
from appliance.repository.timestamps import parse_time
from appliance.repository.tree import NODE_TYPES, decode_tree, is_valid_name
from appliance.repository.unpacked import decode_unpacked, encode_unpacked
from appliance.restore.entries import entry_of
from appliance.state.codec import to_micros, to_moment
from appliance_s3.answers import (
    MalformedAnswer,
    parse_moment,
    parse_object_lock,
    parse_page,
    parse_parts,
    parse_refusal,
    parse_upload_id,
    parse_uploads,
    parse_versioning,
    parse_versions,
    parse_xml,
    timestamp,
)
from appliance_s3.errors import Answered, refused
from appliance_s3.place import Place
from appliance_smb import rpc, soap, wire
from appliance_smb.address import ShareAddress
from appliance_smb.dfs import parse_referrals
from tests.support.repository import PASSWORD, dir_node, file_node, new_repository, save_files

_SEALER = Sealer(MasterKey.from_bytes(bytes(range(1, 65))))
_LIMIT = 1 << 20
_PLACE = Place("https://host", "bucket")
_NOW = datetime(2026, 11, 21, 8, tzinfo=UTC)


@dataclass(frozen=True)
class Target:
    """`read` is given any bytes; `samples` are some that it reads without an error."""

    name: str
    read: Callable[[bytes], None]
    samples: tuple[bytes, ...]


def _header(data: bytes) -> None:
    blobs = decode_header(data)
    assert encode_header(blobs) == data


def _pack(data: bytes) -> None:
    read_header(data, _SEALER)


def _sealed_header(data: bytes) -> None:
    """A header that its key's owner wrote, however badly."""
    sealed = _SEALER.seal(data)
    read_header(sealed + len(sealed).to_bytes(4, "little"), _SEALER)


def _index(data: bytes) -> None:
    index = Index()
    try:
        packs = decode_index(data)
    except DamagedData:
        packs = None
    if packs is None:  # then the other reader must refuse it, too
        index.add_columns(index_columns(read_index(data)))
        raise AssertionError("index_columns took what decode_index refuses")
    index.add_columns(index_columns(read_index(data)))
    for pack_id, blobs in dict(reversed(packs)).items():  # of a pack that is named twice the first counts
        assert pack_id in index.packs()
        for blob in blobs:
            assert index.has(blob.type, blob.id)


def _tree(data: bytes) -> None:
    for node in decode_tree(data).nodes:
        # Each may be refused on its own; a restore then leaves out that node and goes on.
        with suppress(DamagedData):
            name = node.raw_name
            if is_valid_name(name) and node.type in NODE_TYPES - {"socket"}:
                entry = entry_of(node, name)
                assert 0 <= entry.mode <= 0o7777
        with suppress(DamagedData):
            assert len(node.subtree_id) == 32
        assert all(len(blob_id) == 32 for blob_id in node.content_ids)


def _snapshot(data: bytes) -> None:
    snapshot = decode_snapshot(data, "ab" * 32)
    assert len(snapshot.tree_id) == 32
    assert isinstance(snapshot.time_ns, int)
    with suppress(DamagedData):
        snapshot.moment.isoformat()


def _key(data: bytes) -> None:
    key_files.describe_key(data, "ab" * 32)
    stretch = key_files._stretch
    key_files._stretch = lambda password, salt, cost: MasterKey.from_bytes(hashlib.sha512(salt).digest())
    try:
        key_files.open_key(data, PASSWORD)
    finally:
        key_files._stretch = stretch


def _config(data: bytes) -> None:
    decode_config(data)


def _lock(data: bytes) -> None:
    decode_lock(data)


def _unpacked(data: bytes) -> None:
    with suppress(DamagedData):
        decode_unpacked(b"\x02" + data)
    decode_unpacked(data)


def _frame(data: bytes) -> None:
    with suppress(DamagedData):
        decompress_many(data, [(0, len(data))], [100])
    assert len(decompress(data, _LIMIT)) <= _LIMIT


def _name(data: bytes) -> None:
    unquote_name(data.decode("utf-8", "surrogateescape"))


def _time(data: bytes) -> None:
    parse_time(data.decode("utf-8", "surrogateescape"))


def _listing(data: bytes) -> None:
    for key, size in parse_page(data).objects:
        assert isinstance(key, str)
        assert size >= 0


def _versions(data: bytes) -> None:
    entries = parse_versions(data).entries
    assert all(version.size >= 0 for version in entries)
    assert len(sorted(entries, key=lambda version: (version.latest, version.at))) == len(entries)


def _parts(data: bytes) -> None:
    assert parse_parts(data)[0] >= 0


def _versioning(data: bytes) -> None:
    parse_versioning(data)


def _uploads(data: bytes) -> None:
    for upload in parse_uploads(data)[0]:
        assert upload.initiated < _NOW or upload.initiated >= _NOW


def _upload_id(data: bytes) -> None:
    assert parse_upload_id(data)


def _object_lock(data: bytes) -> None:
    assert parse_object_lock(data) in (True, False)


def _retention(data: bytes) -> None:
    """The date of a version, as the header tells it. It is shown and stored, in any zone."""
    moment = parse_moment(data.decode("latin-1"))
    for zone in ("Asia/Tokyo", "America/Los_Angeles"):
        moment.astimezone(ZoneInfo(zone))
    assert to_moment(to_micros(moment)) == moment
    assert parse_moment(timestamp(moment)) == moment.astimezone(UTC).replace(microsecond=0)


def _completed(data: bytes) -> None:
    parse_xml(data, "CompleteMultipartUploadResult")


def _refusal(data: bytes) -> None:
    parse_refusal(data)


def _rpc_bound(data: bytes) -> None:
    rpc.check_bound(data)


def _rpc_shares(data: bytes) -> None:
    """An answer in fragments, read as it comes through the pipe."""
    at = 0

    def receive(length: int) -> bytes:
        nonlocal at
        if at + length > len(data):
            raise ValueError("the answer is cut off")
        at += length
        return data[at - length : at]

    shares = rpc.parse_shares(rpc.stub(receive))
    assert len(shares) * 12 <= len(data)
    assert all("\0" not in share.name + share.remark for share in shares)


def _soap(data: bytes) -> None:
    for device in soap.parse(data):
        assert device.endpoint and not any(place.split() != [place] for place in device.places)


def _soap_name(data: bytes) -> None:
    assert len(soap.computer_name(data)) <= 512


def _referrals(data: bytes) -> None:
    for target in parse_referrals(data, _NAMESPACE):
        assert all(wire.is_name(name.encode("utf-8", "surrogatepass")) for name in (target.share, *target.folder))


def _refused(data: bytes) -> None:
    """Whatever a refusal says, in its headers or its body, it becomes a sentence, and a pause that can be waited."""
    head, _, body = data.decode("latin-1").partition("\n\n")
    pairs = (line.partition(": ")[::2] for line in head.split("\n"))
    headers = requests.structures.CaseInsensitiveDict(pairs)
    error = refused(Answered(400, headers, parse_refusal(body.encode("latin-1"))), _PLACE, _NOW)
    assert error.retry_after is None or error.retry_after >= 0
    for language in ("en", "ja"):
        assert error.render(language)


def _samples() -> dict[str, bytes]:
    """The JSON of each file of a small repository, by its kind."""
    repository = new_repository()
    save_files(repository, {b"one": b"1" * 2000, b"two": b"2"})
    found = {"keys": next(repository.storage.get(info.key) for info in repository.list_files(FileType.KEY))}
    for kind in (FileType.INDEX, FileType.SNAPSHOT):
        (info,) = repository.list_files(kind)
        found[kind] = bytes(load_json(repository.storage, repository.sealer, info))
    with repository.lock():
        (info,) = repository.list_files(FileType.LOCK)
        found["locks"] = bytes(repository.load_json(info))
    return found


_NODES = [
    file_node(b"file \xff\n", [bytes(32), bytes(range(32))], 5),
    dir_node("日本語".encode(), bytes(32)),
]
_NODES[0].extended_attributes = encode_xattrs([(b"user.a", b"\0\1")])
_BLOBS = [PackedBlob(BlobType.DATA, bytes(32), 0, 40, 0), PackedBlob(BlobType.TREE, bytes(range(32)), 40, 60, 511)]
_FILES = _samples()
_PAGE = b"""<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>
<Contents><Key>data/ab%2Fcd</Key><Size>12</Size></Contents></ListBucketResult>"""
_UPLOADS = b"""<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker>
<Upload><Key>k</Key><UploadId>u</UploadId><Initiated>2026-01-01T00:00:00.000Z</Initiated></Upload>
</ListMultipartUploadsResult>"""
_VERSIONS = b"""<ListVersionsResult><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>
<NextKeyMarker>k</NextKeyMarker><NextVersionIdMarker>v</NextVersionIdMarker>
<Version><Key>data%2Fa</Key><VersionId>v</VersionId><IsLatest>false</IsLatest><LastModified>2026-11-21T08:00:00.000Z</LastModified><Size>12</Size></Version>
<DeleteMarker><Key>data%2Fa</Key><VersionId>w</VersionId><IsLatest>true</IsLatest><LastModified>2026-11-22T08:00:00+09:00</LastModified></DeleteMarker></ListVersionsResult>"""
_LOCKED = b"""<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>
<Mode>GOVERNANCE</Mode><Days>30</Days></DefaultRetention></Rule></ObjectLockConfiguration>"""
_SKEWED = b"""Date: Sat, 21 Nov 2026 08:10:00 GMT\nRetry-After: Sat, 21 Nov 2026 08:20:00 +0900

<Error><Code>RequestTimeTooSkewed</Code></Error>"""
_BUSY = b"retry-after: 120\nx-amz-bucket-region: eu\n\n<Error><Code>SlowDown</Code></Error>"
_COMPLETED = b"<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>"
_PARTS = b"""<ListPartsResult><IsTruncated>true</IsTruncated><NextPartNumberMarker>2</NextPartNumberMarker>
<Part><PartNumber>1</PartNumber><Size>5</Size></Part><Part><PartNumber>2</PartNumber><Size>7</Size></Part>
</ListPartsResult>"""
_BEGUN = b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"

_NAMESPACE = ShareAddress("ns", "root", ("部門", "経理"))
_REFERRAL = struct.pack("<HHI", 22, 1, 2) + struct.pack("<HHHHIHHH16x", 3, 34, 0, 0, 60, 34, 34, 34)
_REFERRAL += "\\server\\share\\x\0".encode("utf-16-le")
_BOUND = struct.pack("<BBBBIHHI", 5, 0, 12, 3, 16, 56, 0, 1) + struct.pack("<HHIH", 4280, 4280, 1, 1)
_BOUND += bytes(2) + struct.pack("<B3xHH", 1, 0, 0) + bytes(20)
_TEXT = struct.pack("<III", 3, 0, 3) + "写真\0".encode("utf-16-le") + bytes(2)
_SHARES = (
    struct.pack("<IIIIII", 1, 1, 2, 1, 3, 1) + struct.pack("<III", 4, 0, 5) + 2 * _TEXT + struct.pack("<III", 1, 0, 0)
)
_SHARES = (
    struct.pack("<BBBBIHHI", 5, 0, 2, 3, 16, 24 + len(_SHARES), 0, 2) + struct.pack("<II", len(_SHARES), 0) + _SHARES
)
_HELLO = b"""<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:p="http://schemas.microsoft.com/windows/pub/2005/07"
 xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery">
<s:Header><a:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/%b</a:Action></s:Header><s:Body>%b</s:Body></s:Envelope>"""
_DEVICE = b"""<a:EndpointReference><a:Address>urn:uuid:1</a:Address></a:EndpointReference>
<d:Types>p:Computer</d:Types><d:XAddrs>http://10.0.0.7:5357/x</d:XAddrs>"""
_MATCHES = b"<d:ProbeMatches><d:ProbeMatch>" + _DEVICE + b"</d:ProbeMatch></d:ProbeMatches>"

TARGETS = {
    target.name: target
    for target in (
        Target("header", _header, (encode_header(_BLOBS),)),
        Target("sealed-header", _sealed_header, (encode_header(_BLOBS),)),
        Target("pack", _pack, (bytes(100) + finish_pack(_BLOBS, _SEALER),)),
        Target("index", _index, (_FILES["index"], encode_index([(bytes(32), _BLOBS)]))),
        Target("tree", _tree, (encode_tree(_NODES), encode_tree([]))),
        Target("snapshot", _snapshot, (_FILES["snapshots"],)),
        Target("key", _key, (_FILES["keys"],)),
        Target("config", _config, (new_config(random.Random(1).randbytes).encode(),)),
        Target("lock", _lock, (_FILES["locks"],)),
        Target("unpacked", _unpacked, (encode_unpacked(b'{"a":1}'), b"{}")),
        Target("frame", _frame, (compress(b"content " * 40), compress(bytes(100)))),
        Target("name", _name, (rb"a\xff\n\u65e5\"\\",)),
        Target("time", _time, (b"2026-03-01T09:30:00.123456789+09:00", b"0001-01-01T00:00:00Z")),
        Target("s3-listing", _listing, (_PAGE,)),
        Target("s3-uploads", _uploads, (_UPLOADS,)),
        Target("s3-versions", _versions, (_VERSIONS,)),
        Target(
            "s3-versioning",
            _versioning,
            (b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",),
        ),
        Target("s3-parts", _parts, (_PARTS,)),
        Target("s3-upload-id", _upload_id, (_BEGUN,)),
        Target("s3-completed", _completed, (_COMPLETED,)),
        Target("s3-object-lock", _object_lock, (_LOCKED,)),
        Target("s3-retention", _retention, (b"2026-12-11T08:00:00.000Z", b"2026-12-11T08:00:00+00:00")),
        Target("s3-refused", _refused, (_SKEWED, _BUSY)),
        Target("s3-refusal", _refusal, (b"<Error><Code>SlowDown</Code><Region>eu</Region></Error>",)),
        Target("smb-rpc-bound", _rpc_bound, (_BOUND,)),
        Target("smb-rpc-shares", _rpc_shares, (_SHARES,)),
        Target(
            "smb-soap",
            _soap,
            (
                _HELLO % (b"Hello", b"<d:Hello>" + _DEVICE + b"</d:Hello>"),
                _HELLO % (b"ProbeMatches", _MATCHES),
                _HELLO % (b"Bye", b"<d:Bye>" + _DEVICE + b"</d:Bye>"),
            ),
        ),
        Target("smb-soap-name", _soap_name, (_HELLO % (b"", b"<p:Computer>PC/Workgroup:W</p:Computer>"),)),
        Target("smb-dfs", _referrals, (_REFERRAL,)),
    )
}


def run(target: Target, data: bytes) -> bool:
    """Whether the target read `data`; False when it refused it with an error of its own. Anything else is raised."""
    try:
        target.read(data)
    except KurabakoError:
        return False
    except MalformedAnswer:
        assert target.name.startswith("s3-")
        return False
    except ValueError:  # what readers of shares raise
        if not target.name.startswith("smb-"):
            raise
        return False
    return True


__all__ = ["TARGETS", "Repository", "Target", "run"]
