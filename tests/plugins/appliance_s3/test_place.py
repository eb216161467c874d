from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from appliance.text import Text
from appliance_s3 import storages
from appliance_s3.place import Addressing, Credentials, parse_credentials, parse_place

SECRET = "very-secret"


@pytest.mark.parametrize(
    ("url", "endpoint", "bucket", "prefix"),
    [
        ("https://host/bucket", "https://host", "bucket", ""),
        ("https://host:8443/bucket/", "https://host:8443", "bucket", ""),
        ("http://127.0.0.1:9000/bucket/a/b", "http://127.0.0.1:9000", "bucket", "a/b"),
        ("http://[::1]:9000/bucket/a", "http://[::1]:9000", "bucket", "a"),
        ("host/bucket/prefix/", "https://host", "bucket", "prefix"),
        ("//host/bucket/prefix", "https://host", "bucket", "prefix"),
        ("https://host/bucket/box%201/蔵", "https://host", "bucket", "box 1/蔵"),
    ],
)
def test_addresses_as_restic_takes_them(url: str, endpoint: str, bucket: str, prefix: str) -> None:
    place = parse_place(url, {})
    assert (place.endpoint, place.bucket, place.prefix) == (endpoint, bucket, prefix)


@pytest.mark.parametrize(
    ("url", "options", "says"),
    [
        ("", {}, "is not an S3 address"),
        ("https://", {}, "is not an S3 address"),
        ("https://host:port/bucket", {}, "is not an S3 address"),
        ("https://host/bucket?x=1", {}, "is not an S3 address"),
        ("https://host", {}, "names no bucket"),
        ("https://host/-/x", {}, "“-” cannot be the name of a bucket"),
        ("https://key:secret@host/bucket", {}, "into its own settings"),
        ("https://host/bucket/a//b", {}, "has an empty part"),
        ("https://host/bucket/../b", {}, "has an empty part"),
        ("https://host/bucket", {"region": "a b"}, "not a region"),
        ("https://host/bucket", {"addressing": "dns"}, "path or virtual, not dns"),
        ("https://10.0.0.1/bucket", {"addressing": "virtual"}, "needs a host name"),
        ("https://host/bucket", {"part_limit": "1 MiB"}, "at least 5 MiB"),
        ("https://host/bucket", {"part_limit": "much"}, "not a size"),
        ("https://host/bucket", {"ca_file": "/no/such/file"}, "/no/such/file is not there"),
    ],
)
def test_what_makes_no_sense_is_told(url: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        parse_place(url, options)
    assert "secret" not in str(caught.value)
    if "not a size" not in says:
        (text,) = caught.value.args
        assert isinstance(text, Text)
        assert text.render("ja") != text.render("en")


def test_a_ca_file_without_certificates(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    with pytest.raises(ValueError, match="holds no certificates"):
        parse_place("https://host/bucket", {"ca_file": tmp_path / "empty.pem"})


@pytest.mark.parametrize(
    ("host", "wish", "region"),
    [
        ("s3.ap-northeast-1.amazonaws.com", None, "ap-northeast-1"),
        ("s3-eu-west-1.amazonaws.com", None, "eu-west-1"),
        ("s3.dualstack.us-gov-west-1.amazonaws.com", None, "us-gov-west-1"),
        ("s3.us-west-004.backblazeb2.com", None, "us-west-004"),
        ("s3.amazonaws.com", None, "us-east-1"),
        ("storage.example.jp", None, "us-east-1"),
        ("s3.ap-northeast-1.amazonaws.com", "jp-east-2", "jp-east-2"),
    ],
)
def test_the_region(host: str, wish: str | None, region: str) -> None:
    assert parse_place(f"https://{host}/bucket", {"region": wish}).region == region


@pytest.mark.parametrize(
    ("url", "wish", "expected"),
    [
        ("https://storage.example.jp/bucket/p", None, "https://storage.example.jp/bucket/p/config"),
        ("https://storage.example.jp/bucket/p", "virtual", "https://bucket.storage.example.jp/p/config"),
        ("https://s3.amazonaws.com/bucket/p", None, "https://bucket.s3.amazonaws.com/p/config"),
        ("https://s3.amazonaws.com/dotted.bucket/p", None, "https://s3.amazonaws.com/dotted.bucket/p/config"),
        ("https://s3.amazonaws.com/bucket/p", "path", "https://s3.amazonaws.com/bucket/p/config"),
        ("http://host:9000/bucket/box 1/蔵", None, "http://host:9000/bucket/box%201/%E8%94%B5/config"),
        ("http://host:9000/bucket", None, "http://host:9000/bucket/config"),
    ],
)
def test_where_an_object_is(url: str, wish: str | None, expected: str) -> None:
    assert parse_place(url, {"addressing": wish}).object_url("config") == expected


def test_opening_contacts_nobody_and_shows_no_secret() -> None:
    (kind,) = storages()
    keys = {"access_key_id": "AK", "secret_access_key": SECRET, "session_token": SECRET}
    storage = kind.open("https://127.0.0.1:1/bucket/prefix", keys)
    assert storage.location == "s3:https://127.0.0.1:1/bucket/prefix"
    assert SECRET not in repr(storage)
    assert SECRET not in repr(parse_credentials(keys))
    storage.close()


@pytest.mark.parametrize("missing", ["access_key_id", "secret_access_key"])
def test_keys_are_needed(missing: str) -> None:
    keys = {"access_key_id": "AK", "secret_access_key": SECRET} | {missing: ""}
    with pytest.raises(ValueError, match="is missing") as caught:
        parse_credentials(keys)
    assert SECRET not in str(caught.value)


def test_keys_from_a_file_with_a_line_end() -> None:
    keys = {"access_key_id": "AK\n", "secret_access_key": "secret\n"}
    assert parse_credentials(keys) == Credentials("AK", "secret")


def test_paths_are_the_default_for_unknown_hosts() -> None:
    assert parse_place("https://host/bucket", {}).addressing is Addressing.PATH
