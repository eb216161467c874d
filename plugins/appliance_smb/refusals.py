"""What a server refuses while files are restored to it, as the `OSError`s that targets raise."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from appliance_smb.channel import Broken, Refused

NOT_THERE = frozenset({0xC0000034, 0xC000003A, 0xC000000F})
COLLISION = frozenset({0xC0000035, 0xC0000022, 0xC00000BA, 0xC0000103})
"""Something else has the name: a directory, or a file that may not be replaced."""

# [MS-ERREF] 2.3.1
_ERRNO = {
    0xC0000022: errno.EACCES,
    0xC00000CA: errno.EACCES,
    0xC0000033: errno.EINVAL,  # OBJECT_NAME_INVALID
    0xC0000034: errno.ENOENT,
    0xC000003A: errno.ENOENT,
    0xC0000035: errno.EEXIST,
    0xC0000043: errno.EBUSY,  # SHARING_VIOLATION
    0xC0000044: errno.EDQUOT,
    0xC000007F: errno.ENOSPC,
    0xC00000A2: errno.EROFS,
    0xC00000BA: errno.EISDIR,
    0xC0000101: errno.ENOTEMPTY,
    0xC0000103: errno.ENOTDIR,
    0xC0000106: errno.ENAMETOOLONG,
    0xC0000010: errno.EOPNOTSUPP,
    0xC00000BB: errno.EOPNOTSUPP,
    0xC0000275: errno.EOPNOTSUPP,  # NOT_A_REPARSE_POINT, which is how Samba says that it makes none
}
_WORDS = {
    errno.EINVAL: "the server allows no such name",
    errno.EBUSY: "a program has opened it for itself alone",
    errno.EOPNOTSUPP: "the server does not support it",
}


def refusal(status: int) -> OSError:
    """The nearest that a system would say."""
    number = _ERRNO.get(status, errno.EIO)
    return OSError(number, _WORDS.get(number) or f"the server answers with error 0x{status:08X}")


@contextmanager
def as_os_errors() -> Iterator[None]:
    try:
        yield
    except Refused as refused:
        raise refusal(refused.status) from refused
    except Broken as broken:
        raise OSError(errno.ECONNABORTED, "the server went away") from broken
