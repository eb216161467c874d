"""What went wrong at an S3 server, as sentences for the person who has to put it right.

Nothing a server writes gets into a text, except for an error code and a region that look like one: its
messages may repeat what was sent to it.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import requests
import urllib3

from appliance.storage.interface import (
    AccessDenied,
    ClockSkewed,
    DamagedAnswer,
    DamagedHere,
    NoSpace,
    ObjectNotFound,
    PlaceNotFound,
    StorageError,
    Unreachable,
)
from appliance.storage.versions import ObjectLockOff
from appliance.text import T
from appliance_s3.answers import Refusal
from appliance_s3.place import Place

_SAFE = T("What is already stored is safe.")
_CHECK_LINE = T("Check the cables, the router and the Internet connection.")
_CHECK_KEYS = T("Check the access key ID and the secret access key in the settings.")
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,64}")

_LOCK_MISSING = {"ObjectLockConfigurationNotFoundError", "NoSuchObjectLockConfiguration", "ObjectLockNotEnabled"}
_KEY_MISSING = {"NoSuchKey", "NoSuchUpload", "NoSuchVersion", "NotFound"}
_UNKNOWN_KEY = {"InvalidAccessKeyId", "InvalidClientTokenId", "UnrecognizedClientException"}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired"}
_SKEWED = {"RequestTimeTooSkewed", "RequestExpired"}
_WRONG_REGION = {
    "AuthorizationHeaderMalformed",
    "PermanentRedirect",
    "TemporaryRedirect",
    "Redirect",
    "IllegalLocationConstraintException",
    "InvalidRegion",
}
_FULL = {"QuotaExceeded", "InsufficientCapacity", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "StorageFull"}
_BUSY = {
    "SlowDown",
    "ServiceUnavailable",
    "TooManyRequests",
    "RequestLimitExceeded",
    "Throttling",
    "BandwidthLimitExceeded",
}
_DAMAGED_ON_THE_WAY = {"BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody", "InvalidDigest"}
_PASSING = {"InternalError", "RequestTimeout", "OperationAborted"}
_PASSING_STATUS = {408, 500, 502, 503, 504, 520, 521, 522, 523, 524}


class KeyMissing(StorageError):
    """There is no such object, or no such upload."""

    code = ObjectNotFound.code


class LockMissing(StorageError):
    """The bucket has no Object Lock."""

    code = ObjectLockOff.code


class RangeRefused(StorageError):
    """The object ends before the range begins."""

    code = DamagedAnswer.code


@dataclass(frozen=True)
class Answered:
    """The part of an answer that tells why it is a refusal. `headers` are case-insensitive."""

    status: int
    headers: Mapping[str, str]
    refusal: Refusal


def refused(answer: Answered, place: Place, now: datetime) -> StorageError:
    """The storage error that `answer` means; `now` is this machine's time."""
    code, status = answer.refusal.code, answer.status
    if code == "NoSuchBucket":
        return PlaceNotFound(
            T("There is no bucket {bucket} at {host}.", bucket=place.bucket, host=place.host),
            todo=T("Check the bucket's name in the settings, or have the provider make the bucket."),
        )
    if code in _KEY_MISSING:
        return KeyMissing(T("{host} does not have the file that was asked for.", host=place.host))
    if code in _LOCK_MISSING:
        return LockMissing(T("The bucket {bucket} has no Object Lock.", bucket=place.bucket), safe=_SAFE)
    if status == 416:
        return RangeRefused(T("A file at {host} is shorter than it should be.", host=place.host))
    if code in _SKEWED:
        return _skewed(answer, place, now)
    if code in _UNKNOWN_KEY:
        return AccessDenied(
            T("{host} does not know this access key ID.", host=place.host), safe=_SAFE, todo=_CHECK_KEYS
        )
    if code == "SignatureDoesNotMatch":
        return AccessDenied(
            T("{host} does not accept the secret access key.", host=place.host), safe=_SAFE, todo=_CHECK_KEYS
        )
    if code in _EXPIRED:
        return AccessDenied(
            T("The temporary access to {host} has expired.", host=place.host),
            safe=_SAFE,
            todo=T("Get new credentials from the provider and put them into the settings."),
        )
    region = answer.refusal.region or answer.headers.get("x-amz-bucket-region", "")
    if code in _WRONG_REGION or (300 <= status < 400) or (status == 400 and region and region != place.region):
        return _elsewhere(place, region)
    if code in _FULL or status == 507:
        return NoSpace(
            T("The storage at {host} is full: the provider takes no more data.", host=place.host),
            safe=_SAFE,
            todo=T("Ask the provider for more capacity, or delete old snapshots."),
        )
    if code in _BUSY or status == 429:
        return StorageError(
            T("{host} is busy and asks for fewer requests.", host=place.host),
            safe=_SAFE,
            transient=True,
            retry_after=_retry_after(answer.headers, now),
        )
    if code in _DAMAGED_ON_THE_WAY:
        return DamagedAnswer(
            T("Data arrived damaged at {host} and was not stored.", host=place.host),
            safe=_SAFE,
            todo=T("If this happens again, check the network equipment and the memory of this box."),
            transient=True,
        )
    if code == "InvalidObjectState":
        return StorageError(
            T("A file in {location} is in an archive and cannot be read directly.", location=place.location),
            todo=T("Have the provider bring it back from the archive, and switch archiving off for this bucket."),
        )
    if code in _PASSING or status in _PASSING_STATUS or answer.refusal.wants_md5:
        return StorageError(
            T("{host} has a fault at the moment ({reason}).", host=place.host, reason=_reason(answer)),
            safe=_SAFE,
            transient=True,
            retry_after=_retry_after(answer.headers, now),
        )
    if status in (401, 403) or code == "AccessDenied":
        return AccessDenied(
            T(
                "{host} does not permit this with the given access key ({reason}).",
                host=place.host,
                reason=_reason(answer),
            ),
            safe=_SAFE,
            todo=T(
                "Have the provider allow this key to list, read, write and delete in the bucket {bucket}.",
                bucket=place.bucket,
            ),
        )
    if status == 404:
        return not_s3(place)
    return StorageError(
        T("{host} refused a request ({reason}).", host=place.host, reason=_reason(answer)),
        safe=_SAFE,
        todo=T("Check the address in the settings; if it is right, ask the provider."),
    )


def not_s3(place: Place) -> DamagedAnswer:
    """An answer that no S3 server gives: a proxy's page, or another kind of server."""
    return DamagedAnswer(
        T("{host} does not answer as an S3 storage does.", host=place.host),
        safe=_SAFE,
        todo=T("Check the address in the settings, and whether a proxy or a sign-in page stands in between."),
    )


def damaged_here(place: Place) -> DamagedHere:
    """The body that the server refused is not what its name says: it changed in this machine."""
    return DamagedHere(
        T("Data was damaged in this box before it was sent, and {host} did not store it.", host=place.host),
        safe=_SAFE,
        todo=T("Start again. If this happens again, have the memory of this box checked."),
    )


def too_short(place: Place, key: str, size: int, end: int) -> DamagedAnswer:
    return DamagedAnswer(
        T(
            "The file {key} in {location} is shorter than it should be: {size} bytes, but bytes up to {end} "
            "are needed.",
            key=key,
            location=place.location,
            size=size,
            end=end,
        )
    )


def unreachable(error: Exception, place: Place) -> StorageError:
    """The storage error for `error`, raised by requests or urllib3 before or while an answer came."""
    causes = tuple(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _bad_certificate(cause, place)
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            return Unreachable(
                T("The name {host} could not be resolved.", host=place.host),
                safe=_SAFE,
                todo=T("Check the address in the settings and the Internet connection."),
                transient=cause.errno == socket.EAI_AGAIN,
            )
        if isinstance(cause, ConnectionRefusedError):
            return Unreachable(
                T("{host} refuses the connection.", host=place.host),
                safe=_SAFE,
                todo=T("Check the host and port in the settings. If they are right, the server may be switched off."),
                transient=True,
            )
    if any(isinstance(cause, requests.exceptions.ProxyError | urllib3.exceptions.ProxyError) for cause in causes):
        return Unreachable(
            T("The proxy on the way to {host} does not let the connection through.", host=place.host),
            safe=_SAFE,
            todo=T("Check the proxy's settings."),
            transient=True,
        )
    if any(isinstance(cause, requests.Timeout | urllib3.exceptions.TimeoutError | TimeoutError) for cause in causes):
        return Unreachable(
            T("{host} did not answer in time.", host=place.host), safe=_SAFE, todo=_CHECK_LINE, transient=True
        )
    if any(isinstance(cause, ssl.SSLError) and cause.reason in _NOT_TLS for cause in causes):
        return Unreachable(
            T("{host} does not speak HTTPS on this port.", host=place.host),
            safe=_SAFE,
            todo=T("Check the port in the settings, and whether the address begins with http or https."),
        )
    return broken_off(place)


def broken_off(place: Place) -> Unreachable:
    """The connection ended before the answer did."""
    return Unreachable(
        T("The connection to {host} broke off.", host=place.host), safe=_SAFE, todo=_CHECK_LINE, transient=True
    )


_NOT_TLS = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"}


def _bad_certificate(error: ssl.SSLCertVerificationError, place: Place) -> Unreachable:
    return Unreachable(
        T(
            "The certificate of {host} is not trusted ({reason}).",
            host=place.host,
            reason=error.verify_message or "certificate verify failed",
        ),
        safe=T("Nothing was sent."),
        todo=T(
            "Check this box's date and time and the address in the settings. If the storage has its own certificate "
            "authority, name its file in the setting ca_file."
        ),
    )


def _skewed(answer: Answered, place: Place, now: datetime) -> ClockSkewed:
    there = _date(answer.headers.get("date"))
    todo = T("Check the time server (NTP) and this box's battery.")
    if there is None:
        return ClockSkewed(
            T("{host} refuses requests because this box's clock is wrong.", host=place.host), safe=_SAFE, todo=todo
        )
    minutes = round((now - there).total_seconds() / 60)
    direction = T("ahead") if minutes > 0 else T("behind")
    return ClockSkewed(
        T(
            "{host} refuses requests because this box's clock is {minutes} minutes {direction}.",
            host=place.host,
            minutes=abs(minutes),
            direction=direction,
        ),
        safe=_SAFE,
        todo=todo,
    )


def _elsewhere(place: Place, region: str) -> StorageError:
    """The bucket is in another region, or the server sends us to another address."""
    if _WORD.fullmatch(region) and region != place.region:
        return AccessDenied(
            T(
                "The bucket {bucket} is in the region {region}, not in {configured}.",
                bucket=place.bucket,
                region=region,
                configured=place.region,
            ),
            safe=_SAFE,
            todo=T("Set the region {region} and the provider's address for it.", region=region),
        )
    return AccessDenied(
        T(
            "{host} does not keep the bucket {bucket} in the region {region}.",
            host=place.host,
            bucket=place.bucket,
            region=place.region,
        ),
        safe=_SAFE,
        todo=T("Check the region, the address and the addressing in the settings."),
    )


def _reason(answer: Answered) -> str:
    code = answer.refusal.code
    return f"HTTP {answer.status} {code}" if _WORD.fullmatch(code) else f"HTTP {answer.status}"


def _retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """The pause in seconds that Retry-After asks for, as a number or a date (RFC 9110, 10.2.3)."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    date = _date(value)
    return max(0.0, (date - now).total_seconds()) if date else None


def _date(value: str | None) -> datetime | None:
    try:
        date = parsedate_to_datetime(value or "")
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """`error` and everything it wraps; requests and urllib3 put the cause into `args` or `reason`."""
    seen: set[int] = set()
    left: list[object] = [error]
    while left:
        current = left.pop()
        if not isinstance(current, BaseException) or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        left += [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]
