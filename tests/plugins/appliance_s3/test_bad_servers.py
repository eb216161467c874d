"""Servers and lines that misbehave: what is noticed, what is told, what may be repeated."""

from __future__ import annotations

import hashlib
import logging
import socket
import threading
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

import appliance_s3.multipart
from appliance.storage import RetryingStorage, RetryPolicy
from appliance.storage.interface import (
    AccessDenied,
    ClockSkewed,
    DamagedAnswer,
    DamagedHere,
    NoSpace,
    ObjectInfo,
    ObjectNotFound,
    PlaceNotFound,
    StorageError,
    Unreachable,
)
from appliance_s3.client import MAX_ANSWER, Timeouts
from appliance_s3.storage import MAX_BARREN, S3Storage
from tests.plugins.appliance_s3.bad_server import (
    EMPTY,
    NO_UPLOADS,
    STORED,
    BadServer,
    Reply,
    raw,
    refusal,
    reply,
)
from tests.plugins.appliance_s3.conftest import ACCESS_KEY, SECRET
from tests.storage.conformance import PACK

Connect = Callable[..., S3Storage]
Serve = Callable[..., BadServer]

MIB = 1024 * 1024
BEGUN = reply(200, "<InitiateMultipartUploadResult><UploadId>id-1</UploadId></InitiateMultipartUploadResult>")
DONE = reply(200, "<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>")
SKEWED_WITHOUT_DATE = raw(
    b"HTTP/1.1 403 Forbidden\r\nContent-Length: 48\r\n\r\n<Error><Code>RequestTimeTooSkewed</Code></Error>"
)
CHUNKED = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 10-19/100\r\nTransfer-Encoding: chunked\r\n\r\n"
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
BY_HASH = f"locks/{hashlib.sha256(b'content').hexdigest()}"


def patient(storage: S3Storage, slept: list[float] | None = None) -> RetryingStorage:
    """`storage` with repetitions that take no time."""
    return RetryingStorage(
        storage, RetryPolicy(), sleep=(slept if slept is not None else []).append, random=lambda: 0.5
    )


def count_connections(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The addresses that are connected to from now on."""
    connections = []
    connect_socket = socket.socket.connect

    def count(connection: socket.socket, address: tuple[str, int]) -> None:
        connections.append(address)
        connect_socket(connection, address)

    monkeypatch.setattr(socket.socket, "connect", count)
    return connections


def test_an_upload_is_signed_and_says_what_it_is(serve: Serve, connect: Connect) -> None:
    server = serve(STORED)
    connect(server, now=lambda: NOW).put(PACK, b"content")
    (request,) = server.requests
    assert (request.method, request.target, request.body) == ("PUT", f"/bucket/prefix/{PACK}", b"content")
    assert request.headers["content-md5"] == b64encode(hashlib.md5(b"content").digest()).decode()
    assert request.headers["x-amz-content-sha256"] == hashlib.sha256(b"content").hexdigest()
    assert request.headers["x-amz-date"] == "20260501T120000Z"
    authorization = request.headers["authorization"]
    assert f"Credential={ACCESS_KEY}/20260501/us-east-1/s3/aws4_request" in authorization
    for signed in ("content-md5", "host", "x-amz-content-sha256", "x-amz-date"):
        assert signed in authorization
    assert "x-amz-security-token" not in request.headers


def test_the_hash_of_what_is_named_by_it_is_its_name(serve: Serve, connect: Connect) -> None:
    server = serve(STORED)
    connect(server).put(BY_HASH, b"content")
    assert server.requests[0].headers["x-amz-content-sha256"] == hashlib.sha256(b"content").hexdigest()


@pytest.mark.parametrize("code", ["XAmzContentSHA256Mismatch", "SignatureDoesNotMatch", "BadDigest"])
def test_what_was_damaged_here_is_told_from_what_was_on_the_way(serve: Serve, connect: Connect, code: str) -> None:
    storage = patient(connect(serve(refusal(400, code), reply(200, etag='"e"'))))
    with pytest.raises(DamagedHere, match="damaged in this box before it was sent") as caught:
        storage.put(BY_HASH, b"cOntent")
    assert caught.value.code == "storage.damaged-here"
    assert not caught.value.transient
    on_the_way = connect(serve(refusal(400, "XAmzContentSHA256Mismatch")))
    with pytest.raises(DamagedAnswer, match="arrived damaged") as passing:
        on_the_way.put(BY_HASH, b"content")
    assert passing.value.transient


def test_a_session_token_is_sent_and_signed(serve: Serve, connect: Connect) -> None:
    server = serve(STORED)
    connect(server, session_token="token").put(PACK, b"x")
    assert server.requests[0].headers["x-amz-security-token"] == "token"
    assert "x-amz-security-token" in server.requests[0].headers["authorization"]


def test_one_connection_serves_many_requests(serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    connections = count_connections(monkeypatch)
    server = serve(
        STORED,
        reply(200, b"content", etag="e"),
        reply(200, etag="e"),
        refusal(404, "NoSuchKey"),
        reply(206, b"on", content_range="bytes 1-2/7"),
        EMPTY,
        reply(200, "<ListBucketResult></ListBucketResult>"),
    )
    storage = connect(server)
    storage.put(PACK, b"content")
    assert storage.get(PACK) == b"content"
    storage.stat(PACK)
    with pytest.raises(ObjectNotFound):
        storage.get(PACK)
    assert storage.get(PACK, 1, 2) == b"on"
    storage.delete(PACK)
    assert list(storage.list()) == []
    assert len(server.requests) == 7
    assert len(connections) == 1


def test_threads_that_come_and_go_leave_no_connections_behind(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = count_connections(monkeypatch)
    server = serve(*[STORED] * 20)
    storage = connect(server)
    for _ in range(20):
        thread = threading.Thread(target=storage.put, args=(PACK, b"x"))
        thread.start()
        thread.join()
    assert len(server.requests) == 20
    assert len(connections) == 1


class TestPassingTrouble:
    """What is over after a while: told as `transient`, and put right by RetryingStorage."""

    @pytest.mark.parametrize(
        "trouble",
        [
            refusal(503, "SlowDown"),
            refusal(429, "TooManyRequests"),
            refusal(500, "InternalError"),
            refusal(400, "RequestTimeout"),
            refusal(400, "BadDigest"),
            refusal(409, "OperationAborted"),
            reply(502, "<html>Bad gateway</html>"),
            reply(504),
            raw(b""),
            raw(b"HTTP/1.1 200 OK\r\nContent-Le"),
            raw(b"no HTTP at all\r\n\r\n"),
        ],
    )
    def test_a_put_is_repeated_as_it_was(self, serve: Serve, connect: Connect, trouble: Reply) -> None:
        server = serve(trouble, STORED)
        patient(connect(server)).put(PACK, b"content")
        assert [request.body for request in server.requests] == [b"content", b"content"]

    @pytest.mark.parametrize(
        ("code", "message"),
        [("MissingContentMD5", ""), ("InvalidRequest", "Content-MD5 OR x-amz-checksum- HTTP header is required")],
    )
    def test_content_md5_is_for_buckets_that_ask_for_it(
        self, serve: Serve, connect: Connect, code: str, message: str
    ) -> None:
        wanted = reply(400, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>")
        server = serve(STORED, wanted, STORED, STORED)
        storage = patient(connect(server))
        body = bytes(100_000)
        for _ in range(3):
            storage.put(PACK, body)
        md5 = b64encode(hashlib.md5(body).digest()).decode()
        assert [request.headers.get("content-md5") for request in server.requests] == [None, None, md5, md5]

    def test_a_put_that_was_stored_but_answered_500_is_put_again(self, serve: Serve, connect: Connect) -> None:
        stored: dict[str, bytes] = {}

        def store_then_fail(handler: object) -> None:
            stored[server.requests[-1].path] = server.requests[-1].body
            refusal(500, "InternalError")(handler)  # type: ignore[arg-type]

        server = serve(store_then_fail, STORED)
        patient(connect(server)).put(PACK, b"content")
        assert stored == {f"/bucket/prefix/{PACK}": b"content"}
        assert server.requests[1].body == b"content"

    def test_the_server_says_how_long_to_wait(self, serve: Serve, connect: Connect) -> None:
        slept: list[float] = []
        date = (NOW + timedelta(seconds=90)).strftime("%a, %d %b %Y %H:%M:%S GMT")
        server = serve(
            refusal(503, "SlowDown", retry_after="7"),
            refusal(503, "SlowDown", retry_after=date),
            refusal(503, "SlowDown", retry_after="soon"),
            STORED,
        )
        patient(connect(server, now=lambda: NOW), slept).put(PACK, b"content")
        assert slept == [7, 90, 1.0]

    def test_a_connection_that_breaks_off_in_the_body(self, serve: Serve, connect: Connect) -> None:
        half = raw(b"HTTP/1.1 200 OK\r\nETag: e\r\nContent-Length: 10\r\n\r\nhalf")
        storage = connect(serve(half, half, reply(200, b"0123456789", etag="e")))
        with pytest.raises(Unreachable, match="broke off") as caught:
            storage.get(PACK)
        assert caught.value.transient
        assert patient(storage).get(PACK) == b"0123456789"

    def test_a_listing_that_breaks_off_goes_on(self, serve: Serve, connect: Connect) -> None:
        def page(first: int, last: int, token: str = "") -> Reply:
            entries = "".join(
                f"<Contents><Key>prefix/locks/{n}</Key><Size>{n}</Size></Contents>" for n in range(first, last)
            )
            more = (
                f"<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>"
                if token
                else ""
            )
            return reply(200, f"<ListBucketResult>{entries}{more}</ListBucketResult>")

        server = serve(page(0, 3, "a/b+c="), refusal(503, "SlowDown"), page(0, 3, "a/b+c="), page(3, 5))
        assert [info.size for info in patient(connect(server)).list("locks")] == [0, 1, 2, 3, 4]
        assert server.requests[1].query["continuation-token"] == "a/b+c="
        assert server.requests[1].query["prefix"] == "prefix/locks/"

    def test_a_listing_that_never_ends(self, serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
        """Neither one that says the same again under ever new tokens, nor one that always has more to say."""

        def page(number: int, key: str) -> Reply:
            more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{number}</NextContinuationToken>"
            entry = f"<Contents><Key>prefix/{key}</Key><Size>1</Size></Contents>"
            return reply(200, f"<ListBucketResult>{entry}{more}</ListBucketResult>")

        same = serve(*(page(number, "a") for number in range(100)))
        with pytest.raises(DamagedAnswer, match="does not answer as an S3 storage"):
            list(connect(same).list())
        assert len(same.requests) == MAX_BARREN + 1
        monkeypatch.setattr("appliance_s3.storage.MAX_PAGES", 30)
        new = serve(*(page(number, f"a{number:03}") for number in range(100)))
        with pytest.raises(DamagedAnswer, match="does not answer as an S3 storage"):
            list(connect(new).list())
        assert len(new.requests) == 30

    @pytest.mark.parametrize("what", ["versions", "uploads"])
    def test_what_is_not_listed_and_never_ends(
        self, serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch, what: str
    ) -> None:
        for module in ("versions", "multipart"):
            monkeypatch.setattr(f"appliance_s3.{module}.MAX_PAGES", 5)
        kept = reply(200, "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
        root, second = (
            ("ListVersionsResult", "NextVersionIdMarker")
            if what == "versions"
            else ("ListMultipartUploadsResult", "NextUploadIdMarker")
        )
        pages = [
            reply(
                200,
                f"<{root}><IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker>"
                f"<{second}>{number}</{second}></{root}>",
            )
            for number in range(20)
        ]
        server = serve(*([NO_UPLOADS, kept] if what == "versions" else []), *pages)
        with pytest.raises(DamagedAnswer, match="does not answer as an S3 storage"):
            connect(server).unlisted()
        assert len(server.requests) == 5 + (2 if what == "versions" else 0)

    def test_an_answer_that_does_not_come(self, serve: Serve, connect: Connect) -> None:
        server = serve()
        server.script.append(server.silence)
        with pytest.raises(Unreachable, match="did not answer in time") as caught:
            connect(server, timeouts=Timeouts(connect=1, read=0.2)).get(PACK)
        assert caught.value.transient

    def test_a_body_that_stops_coming(self, serve: Serve, connect: Connect) -> None:
        server = serve()

        def begin(handler: object) -> None:
            raw(b"HTTP/1.1 200 OK\r\nETag: e\r\nContent-Length: 10\r\n\r\nhalf")(handler)  # type: ignore[arg-type]
            server.silence(handler)  # type: ignore[arg-type]

        server.script.append(begin)
        with pytest.raises(Unreachable, match="did not answer in time"):
            connect(server, timeouts=Timeouts(connect=1, read=0.2)).get(PACK)

    def test_a_port_where_nobody_listens(self, serve: Serve, connect: Connect) -> None:
        server = serve()
        server.close()
        with pytest.raises(Unreachable, match="refuses the connection") as caught:
            connect(server).get(PACK)
        assert caught.value.transient

    @pytest.mark.parametrize(("number", "transient"), [(socket.EAI_AGAIN, True), (socket.EAI_NONAME, False)])
    def test_a_name_that_is_not_resolved(
        self, serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch, number: int, transient: bool
    ) -> None:
        storage = connect(serve())

        def fail(*_: object, **__: object) -> None:
            raise socket.gaierror(number, "no")

        monkeypatch.setattr(socket, "getaddrinfo", fail)
        with pytest.raises(Unreachable, match="could not be resolved") as caught:
            storage.get(PACK)
        assert caught.value.transient is transient


class TestWrongBytes:
    """Fewer, more or other bytes than asked for are never handed on."""

    @pytest.mark.parametrize(
        "answer",
        [
            reply(206, b"0123", content_range="bytes 10-13/100"),
            reply(206, b"0123456789", content_range="bytes 0-9/100"),
            reply(206, b"0123456789", content_range="bytes 10-19/*"),
            reply(206, b"01234567890", content_range="bytes 10-19/100"),
            reply(206, b"0123456789"),
            reply(200, bytes(100), etag="e"),
            reply(200, b"0123456789", etag="e"),
            raw(CHUNKED + b"b\r\n01234567890\r\n0\r\n\r\n"),
            raw(CHUNKED + b"9\r\n012345678\r\n0\r\n\r\n"),
        ],
        ids=[
            "short",
            "other-place",
            "size-unknown",
            "long",
            "no-range",
            "whole",
            "no-range-200",
            "long-chunk",
            "short-chunk",
        ],
    )
    def test_a_range_that_is_not_the_range(self, serve: Serve, connect: Connect, answer: Reply) -> None:
        with pytest.raises(DamagedAnswer):
            connect(serve(answer)).get(PACK, 10, 10)

    def test_a_refused_range_is_no_empty_answer(self, serve: Serve, connect: Connect) -> None:
        head = reply(200, bytes(100), etag="e")
        for length in (10, None):
            with pytest.raises(DamagedAnswer, match="does not answer as an S3 storage"):
                connect(serve(refusal(416, "InvalidRange"), head)).get(PACK, 10, length)
        assert connect(serve(refusal(416, "InvalidRange"), head)).get(PACK, 100) == b""
        assert connect(serve(head)).get(PACK, 10, 0) == b""

    def test_a_range_in_chunks(self, serve: Serve, connect: Connect) -> None:
        answer = raw(CHUNKED + b"4\r\n0123\r\n6\r\n456789\r\n0\r\n\r\n")
        assert connect(serve(answer)).get(PACK, 10, 10) == b"0123456789"

    def test_a_range_that_ends_early_because_the_object_does(self, serve: Serve, connect: Connect) -> None:
        with pytest.raises(DamagedAnswer, match="15 bytes, but bytes up to 20") as caught:
            connect(serve(reply(206, b"01234", content_range="bytes 10-14/15"))).get(PACK, 10, 10)
        assert not caught.value.transient

    def test_the_end_of_an_object(self, serve: Serve, connect: Connect) -> None:
        server = serve(reply(206, b"01234", content_range="bytes 10-14/15"))
        assert connect(server).get(PACK, 10) == b"01234"
        assert server.requests[0].headers["range"] == "bytes=10-"

    @pytest.mark.parametrize("status", [200, 204])
    def test_a_page_that_is_no_s3_answer_stores_nothing(self, serve: Serve, connect: Connect, status: int) -> None:
        sign_in = reply(status, b"" if status == 204 else "<html>Please sign in</html>")
        with pytest.raises(DamagedAnswer, match="does not answer as an S3 storage"):
            connect(serve(sign_in)).put(PACK, b"x")
        with pytest.raises(DamagedAnswer):
            connect(serve(sign_in)).get(PACK)
        if status == 200:
            with pytest.raises(DamagedAnswer):
                connect(serve(sign_in, sign_in)).stat(PACK)

    def test_a_404_of_another_server_is_no_missing_object(self, serve: Serve, connect: Connect) -> None:
        with pytest.raises(DamagedAnswer, match="does not answer as an S3 storage"):
            connect(serve(reply(404, "<html>Not found</html>"))).get(PACK)

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"no XML",
            b"<html></html>",
            b"<ListBucketResult><Contents><Key>a</Key><Size>many</Size></Contents></ListBucketResult>",
            b"<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>",
            b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
            b"<ListBucketResult><Contents>",
            b"\xff\xfe<",
            b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><ListBucketResult>&b;</ListBucketResult>',
            b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><ListBucketResult/>',
        ],
    )
    def test_a_listing_that_makes_no_sense(self, serve: Serve, connect: Connect, body: bytes) -> None:
        with pytest.raises(DamagedAnswer, match="does not answer as an S3 storage"):
            list(connect(serve(reply(200, body))).list())

    def test_a_listing_without_end_is_cut_off(self, serve: Serve, connect: Connect) -> None:
        body = b"<ListBucketResult>" + b" " * (MAX_ANSWER + 100)
        with pytest.raises(DamagedAnswer):
            list(connect(serve(reply(200, body))).list())

    def test_a_listing_that_goes_round_in_circles_ends(self, serve: Serve, connect: Connect) -> None:
        page = reply(
            200,
            "<ListBucketResult><IsTruncated>true</IsTruncated>"
            "<NextContinuationToken>same</NextContinuationToken></ListBucketResult>",
        )
        with pytest.raises(DamagedAnswer):
            list(connect(serve(page, page, page)).list())

    def test_an_error_page_without_end_is_not_read(self, serve: Serve, connect: Connect) -> None:
        with pytest.raises(AccessDenied):
            connect(serve(reply(403, bytes(10 * MIB)))).get(PACK)


class TestRefusals:
    """Each cause has its own class, sentence and advice, in both languages."""

    @pytest.mark.parametrize(
        ("answer", "kind", "says"),
        [
            (refusal(403, "InvalidAccessKeyId"), AccessDenied, "does not know this access key ID"),
            (refusal(403, "SignatureDoesNotMatch"), AccessDenied, "does not accept the secret access key"),
            (refusal(403, "AccessDenied"), AccessDenied, "does not permit this"),
            (reply(403), AccessDenied, "does not permit this"),
            (refusal(401, "Unauthorized"), AccessDenied, "does not permit this"),
            (refusal(400, "ExpiredToken"), AccessDenied, "has expired"),
            (SKEWED_WITHOUT_DATE, ClockSkewed, "clock is wrong"),
            (refusal(404, "NoSuchBucket"), PlaceNotFound, "no bucket bucket"),
            (refusal(404, "NoSuchKey"), ObjectNotFound, "no file"),
            (refusal(403, "QuotaExceeded"), NoSpace, "is full"),
            (reply(507), NoSpace, "is full"),
            (refusal(403, "InvalidObjectState"), StorageError, "in an archive"),
            (
                refusal(400, "AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>"),
                AccessDenied,
                "is in the region eu-west-1, not in us-east-1",
            ),
            (refusal(301, "PermanentRedirect", x_amz_bucket_region="eu-west-1"), AccessDenied, "region eu-west-1"),
            (refusal(400, "BadRequest", x_amz_bucket_region="eu-west-1"), AccessDenied, "region eu-west-1"),
            (
                refusal(301, "PermanentRedirect"),
                AccessDenied,
                "does not keep the bucket",
            ),
            (refusal(400, "MalformedXML"), StorageError, "HTTP 400 MalformedXML"),
            (refusal(501, "NotImplemented"), StorageError, "HTTP 501 NotImplemented"),
        ],
    )
    def test_the_cause_is_told(
        self, serve: Serve, connect: Connect, answer: Reply, kind: type[StorageError], says: str
    ) -> None:
        with pytest.raises(StorageError) as caught:
            connect(serve(answer)).get(PACK)
        error = caught.value
        assert type(error) is kind
        assert says in str(error)
        assert not error.transient
        assert error.what.render("ja") != error.what.render("en")
        if kind is not ObjectNotFound:
            assert error.todo is not None
            assert error.todo.render("ja") != error.todo.render("en")

    def test_a_head_asks_again_for_the_cause(self, serve: Serve, connect: Connect) -> None:
        with pytest.raises(PlaceNotFound):
            connect(serve(reply(404), refusal(404, "NoSuchBucket"))).stat(PACK)
        with pytest.raises(ObjectNotFound):
            connect(serve(reply(404), refusal(404, "NoSuchKey"))).stat(PACK)
        with pytest.raises(AccessDenied, match="secret access key"):
            connect(serve(reply(403), refusal(403, "SignatureDoesNotMatch"))).stat(PACK)
        just_came = serve(reply(404), reply(206, b"x", content_range="bytes 0-0/17"))
        assert connect(just_came).stat(PACK) == ObjectInfo(PACK, 17)

    @pytest.mark.parametrize(("hours", "says"), [(2, "120 minutes ahead"), (-3, "180 minutes behind")])
    def test_a_wrong_clock_is_told_by_how_much(
        self, serve: Serve, connect: Connect, hours: int, says: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        true_time = (NOW - timedelta(hours=hours)).strftime("%a, %d %b %Y %H:%M:%S GMT")
        body = b"<Error><Code>RequestTimeTooSkewed</Code></Error>"
        answer = raw(
            f"HTTP/1.1 403 Forbidden\r\nDate: {true_time}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        )
        with pytest.raises(ClockSkewed, match=says):
            connect(serve(answer), now=lambda: NOW).get(PACK)

    def test_nothing_the_server_writes_gets_into_the_text(self, serve: Serve, connect: Connect) -> None:
        answer = refusal(400, f"Evil {SECRET}", f"<Region>&lt;b&gt;{SECRET}</Region>", x_amz_bucket_region="<script>")
        with pytest.raises(StorageError) as caught:
            connect(serve(answer)).get(PACK)
        for language in ("en", "ja"):
            text = caught.value.render(language)
            assert SECRET not in text
            assert "script" not in text
            assert "said the server" not in text

    @pytest.mark.parametrize("status", [301, 302, 307, 308])
    def test_a_redirect_is_not_followed(self, serve: Serve, connect: Connect, status: int) -> None:
        elsewhere = serve(STORED)
        server = serve(reply(status, location=f"{elsewhere.endpoint}/bucket/prefix/{PACK}"))
        with pytest.raises(AccessDenied):
            connect(server).put(PACK, b"x")
        assert elsewhere.requests == []


class TestSecrets:
    def test_no_secret_in_logs_or_errors_or_names(
        self, serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        server = serve(STORED, refusal(403, "SignatureDoesNotMatch"), raw(b""))
        storage = connect(server, session_token="session-" + SECRET)
        storage.put(PACK, b"x")
        texts = [storage.location, repr(storage), repr(storage._client), repr(storage._client._credentials)]
        for _ in range(2):
            with pytest.raises(StorageError) as caught:
                storage.get(PACK)
            texts += [str(caught.value), repr(caught.value), repr(caught.value.to_json())]
        assert all(SECRET not in request.target for request in server.requests)
        assert all(SECRET not in text and "Signature=" not in text for text in [*texts, caplog.text])


class TestMultipart:
    def put(self, storage: S3Storage) -> None:
        storage.put(PACK, bytes(12 * MIB))

    def calls(self, server: BadServer) -> list[tuple[str, dict[str, str]]]:
        return [(request.method, request.query) for request in server.requests]

    def test_parts_then_completion(self, serve: Serve, connect: Connect) -> None:
        server = serve(*(NO_UPLOADS, BEGUN, reply(200, etag="a"), reply(200, etag='"b"'), reply(200, etag="c"), DONE))
        self.put(connect(server, part_limit=5 * MIB))
        assert [method for method, _ in self.calls(server)] == ["GET", "POST", "PUT", "PUT", "PUT", "POST"]
        assert [len(request.body) for request in server.requests[2:5]] == [5 * MIB, 5 * MIB, 2 * MIB]
        assert b'<PartNumber>2</PartNumber><ETag>"b"</ETag>' in server.requests[-1].body

    def test_parts_grow_where_there_would_be_too_many(
        self, serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(appliance_s3.multipart, "MAX_PARTS", 2)
        server = serve(NO_UPLOADS, BEGUN, *[reply(200, etag="e")] * 2, DONE)
        self.put(connect(server, part_limit=5 * MIB))
        assert [len(request.body) for request in server.requests[2:4]] == [6 * MIB, 6 * MIB]

    @pytest.mark.parametrize("trouble", [refusal(403, "AccessDenied"), refusal(503, "SlowDown"), raw(b""), reply(200)])
    def test_an_upload_whose_part_fails_is_aborted_in_the_end(
        self, serve: Serve, connect: Connect, trouble: Reply
    ) -> None:
        server = serve(NO_UPLOADS, BEGUN, reply(200, etag="a"), trouble, EMPTY)
        storage = connect(server, part_limit=5 * MIB)
        with pytest.raises(StorageError) as caught:
            self.put(storage)
        assert (self.calls(server)[-1][0] == "PUT") is caught.value.transient, "what may go on waits for that"
        storage.close()
        assert self.calls(server)[-1] == ("DELETE", {"uploadId": "id-1"})

    @pytest.mark.parametrize(
        ("answer", "transient"),
        [
            (reply(200, "<Error><Code>InternalError</Code></Error>"), True),
            (reply(200, "<Error><Code>InvalidPart</Code></Error>"), False),
            (reply(200, "nonsense"), False),
            (refusal(500, "InternalError"), True),
        ],
    )
    def test_a_completion_is_believed_by_its_body(
        self, serve: Serve, connect: Connect, answer: Reply, transient: bool
    ) -> None:
        parts = [reply(200, etag="e")] * 3
        server = serve(NO_UPLOADS, BEGUN, *parts, answer, EMPTY)
        storage = connect(server, part_limit=5 * MIB)
        with pytest.raises(StorageError) as caught:
            self.put(storage)
        assert caught.value.transient is transient
        storage.close()
        assert self.calls(server)[-1] == ("DELETE", {"uploadId": "id-1"})

    def test_an_abort_that_fails_is_made_up_for(self, serve: Serve, connect: Connect) -> None:
        server = serve(NO_UPLOADS, BEGUN, refusal(503, "SlowDown"), raw(b""), EMPTY)
        storage = connect(server, part_limit=5 * MIB)
        with pytest.raises(StorageError):
            self.put(storage)
        storage.close()
        assert self.calls(server)[-2:] == [("DELETE", {"uploadId": "id-1"})] * 2

    def test_a_repeated_put_goes_on_at_the_part_that_is_missing(self, serve: Serve, connect: Connect) -> None:
        server = serve(
            *(NO_UPLOADS, BEGUN, reply(200, etag="a"), raw(b""), refusal(503, "SlowDown")),
            *(
                reply(200, etag="b"),
                refusal(500, "InternalError"),
                reply(200, etag="c"),
                refusal(503, "SlowDown"),
                DONE,
            ),
        )
        patient(connect(server, part_limit=5 * MIB)).put(PACK, bytes(12 * MIB))  # type: ignore[arg-type]
        parts = [query["partNumber"] for method, query in self.calls(server) if method == "PUT"]
        assert parts == ["1", "2", "2", "2", "3", "3"]
        assert [method for method, _ in self.calls(server)].count("POST") == 3, "one is begun, and completed twice"
        assert all(f"<ETag>{etag}</ETag>".encode() in server.requests[-1].body for etag in "abc")

    def test_another_content_of_the_same_name_begins_anew(self, serve: Serve, connect: Connect) -> None:
        server = serve(
            *(NO_UPLOADS, BEGUN, reply(200, etag="a"), refusal(503, "SlowDown")),
            *(EMPTY, BEGUN, *[reply(200, etag="e")] * 3, DONE),
        )
        storage = connect(server, part_limit=5 * MIB)
        with pytest.raises(StorageError):
            self.put(storage)
        storage.put(PACK, bytes(11 * MIB) + b"x")
        methods = [method for method, _ in self.calls(server)]
        assert methods == ["GET", "POST", "PUT", "PUT", "DELETE", "POST", "PUT", "PUT", "PUT", "POST"]

    def test_whoever_looks_for_the_object_has_given_the_upload_up(self, serve: Serve, connect: Connect) -> None:
        server = serve(
            *(NO_UPLOADS, BEGUN, reply(200, etag="a"), refusal(503, "SlowDown")),
            *(refusal(503, "SlowDown"), EMPTY, refusal(404, "NoSuchKey"), refusal(404, "NoSuchKey")),
        )
        storage = connect(server, part_limit=5 * MIB)
        with pytest.raises(StorageError):
            self.put(storage)
        with pytest.raises(StorageError) as caught:
            storage.stat(PACK)
        assert caught.value.transient, "while the parts are there, nobody may believe that nothing is"
        with pytest.raises(ObjectNotFound):
            storage.stat(PACK)
        assert [method for method, _ in self.calls(server)][4:] == ["DELETE", "DELETE", "HEAD", "GET"]

    def test_a_key_that_may_not_look_for_leftovers_may_still_upload(self, serve: Serve, connect: Connect) -> None:
        server = serve(refusal(403, "AccessDenied"), BEGUN, *[reply(200, etag="e")] * 3, DONE)
        self.put(connect(server, part_limit=5 * MIB))
        assert server.script == []

    def test_only_old_uploads_of_ours_are_aborted(self, serve: Serve, connect: Connect) -> None:
        old, new = NOW - timedelta(hours=25), NOW - timedelta(hours=23)
        uploads = "".join(
            f"<Upload><Key>{key}</Key><UploadId>{number}</UploadId><Initiated>{begun:%Y-%m-%dT%H:%M:%S.000Z}</Initiated></Upload>"
            for number, (key, begun) in enumerate(
                [(f"prefix/{PACK}", old), (f"prefix/{PACK}", new), (f"other/{PACK}", old), ("prefix/Not Ours", old)]
            )
        )
        listing = reply(200, f"<ListMultipartUploadsResult>{uploads}</ListMultipartUploadsResult>")
        server = serve(listing, EMPTY, BEGUN, *[reply(200, etag="e")] * 3, DONE)
        self.put(connect(server, now=lambda: NOW, part_limit=5 * MIB))
        assert [query for method, query in self.calls(server) if method == "DELETE"] == [{"uploadId": "0"}]
