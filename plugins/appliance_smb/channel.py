"""One connection to a share after logging in: requests go out in batches, answers come back in any order.

smbprotocol negotiates, authenticates and derives the keys. What follows for hundreds of thousands of files is done here
on its socket: messages are packed with `struct`, several travel in one compound ([MS-SMB2] 3.2.4.1.4), and there is no
receiving thread: whoever waits for an answer, or for credits, reads what comes and hands it to whom it belongs.
"""

from __future__ import annotations

import hmac
import os
import socket
import struct
import threading
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import cmac
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from smbprotocol.connection import Ciphers, Connection, Dialects, SigningAlgorithms
from smbprotocol.session import Session
from smbprotocol.tree import TreeConnect

from appliance_smb import errors, requests, wire
from appliance_smb.requests import Message

_HEADER = struct.Struct("<4sHHIHHIIQIIQ16s")  # [MS-SMB2] 2.2.1.2
_NONCE = struct.Struct("<QI")
_TRANSFORM = struct.Struct("<4s16s16sIHHQ")  # [MS-SMB2] 2.2.41
_ANSWERED, _ASYNC, _RELATED, _SIGNED, _DFS = 0x1, 0x2, 0x4, 0x8, 0x10000000
_PENDING = 0x103
_UNASKED = (1 << 64) - 1  # [MS-SMB2] 3.3.4.6: the message id of what nobody asked for
_CREDIT_BYTES = 65536
_CREDITS_WANTED = 512
"""What servers grant a client at most without being tuned; enough for 32 reads of 1 MiB under way."""

_LENGTH = struct.Struct(">I")
_BUFFER = 64 << 10
_TAG = 16
_LONGEST = 16 << 20  # [MS-SMB2] 2.1: three bytes of length
_ZEROS = bytes(16)


class Refused(Exception):
    """The server answered a request with an error; `status` as in [MS-ERREF] 2.3."""

    def __init__(self, status: int, body: memoryview) -> None:
        super().__init__(f"0x{status:08X}")
        self.status = status
        self.body = body


class Broken(Exception):
    """The connection can be used no more."""


class Pending:
    """A request under way; `body` is its answer once `status` is one."""

    __slots__ = ("body", "message_id", "status")

    def __init__(self, message_id: int) -> None:
        self.message_id = message_id
        self.status: int | None = None
        self.body = memoryview(b"")


class Channel:
    """Requests to one tree over one connection. Any number of threads may use one object.

    Raises `Refused` for an answer that is an error, and `Broken` when the connection is of no use any more: after the
    first failure, and when nothing arrives for `timeout` seconds.
    """

    def __init__(
        self, sock: socket.socket, connection: Connection, session: Session, tree: TreeConnect, timeout: float
    ):
        self._socket = sock
        self._timeout = timeout
        sock.settimeout(timeout)
        self._session_id: int = session.session_id
        self._tree_id: int = tree.tree_connect_id
        self.is_dfs: bool = tree.is_dfs_share
        self._flags = _DFS if tree.is_dfs_share else 0
        self._next_id: int = connection.sequence_window["low"]
        self._granted: int = connection.sequence_window["high"]  # by whoever reads
        self._spent: int = self._next_id  # by whoever sends
        self._multi_credit: bool = connection.supports_multi_credit
        encrypts = session.encrypt_data or tree.encrypt_data
        self._cipher = _Cipher(connection, session) if encrypts else None
        self._signer = _Signer(connection, session) if session.signing_required and not encrypts else None
        self.payload = min(connection.max_read_size, connection.max_transact_size, connection.max_write_size, 1 << 20)
        """The most bytes one answer or one write may carry."""
        if not self._multi_credit:
            self.payload = min(self.payload, _CREDIT_BYTES)
        self._buffer = memoryview(bytearray(_BUFFER))
        self._arrived = self._buffer[:0]
        """What of the buffer has not been taken yet."""
        self._sending = threading.Lock()
        self._reading = threading.Lock()
        self._waiting: dict[int, Pending] = {}
        self.written: set[bytes] = set()
        """Handles with an oplock whose files somebody else writes to; who closes a handle takes it out."""
        self._broken: str | None = None

    @property
    def is_broken(self) -> bool:
        return self._broken is not None

    def call(self, message: Message) -> memoryview:
        """Sends one request and returns the body of its answer."""
        return self.receive(self.send([message])[0])

    def send(self, messages: Sequence[Message]) -> list[Pending]:
        """Sends requests; several become one compound, in which each goes on with the file that the first opened."""
        (pending,) = self.send_all([messages])
        return pending

    def send_all(self, compounds: Sequence[Sequence[Message]]) -> list[list[Pending]]:
        """Sends several compounds, with as few calls of the system as credits allow."""
        sent = []
        frames: list[bytes] = []
        with self._sending:
            for messages in compounds:
                charges = [max(1, -(-message.payload // _CREDIT_BYTES)) for message in messages]
                if self._credits < sum(charges):
                    self._put(frames)
                    frames = []
                    self._gather_credits(sum(charges))
                frame, pending = self._pack(messages, charges)
                frames.append(frame)
                sent.append(pending)
            self._put(frames)
        return sent

    def receive(self, pending: Pending) -> memoryview:
        """The body of the answer. Raises `Refused`, or `Broken` when the server ended the session or the share."""
        while pending.status is None:
            with self._reading:
                if pending.status is None:
                    self._read_one()
        if pending.status in errors.LOST:
            raise self._fail(f"0x{pending.status:08X}")
        if pending.status:
            raise Refused(pending.status, pending.body)
        return pending.body

    def close(self, *, say_so: bool = True) -> None:
        """Logs off, or merely hangs up."""
        if say_so and self._broken is None:
            self._socket.settimeout(min(self._timeout, 5.0))
            try:
                self.call(requests.disconnect_tree())
                self.call(requests.log_off())
            except (Refused, Broken):
                pass
        self._fail("closed")

    # --- sending ---------------------------------------------------------------------------------------------------

    @property
    def _credits(self) -> int:
        return self._granted - self._spent

    def _gather_credits(self, needed: int) -> None:
        """Waits until the server allows as much ([MS-SMB2] 3.2.4.1.2), by reading the answers that bring credits."""
        while self._credits < needed:
            if not self._waiting:
                if self._credits < 1:
                    raise self._fail("the server grants no credits")
                frame, _ = self._pack([requests.echo()], [1])
                self._put([frame])
            with self._reading:
                if self._credits < needed and self._waiting:
                    self._read_one()

    def _pack(self, messages: Sequence[Message], charges: list[int]) -> tuple[bytes, list[Pending]]:
        parts, pending = [], []
        last = len(messages) - 1
        for number, (message, charge) in enumerate(zip(messages, charges, strict=True)):
            body = message.body
            following = 0
            if number != last:
                body += bytes(-(_HEADER.size + len(body)) % 8)
                following = _HEADER.size + len(body)
            one = Pending(self._next_id)
            flags = self._flags | (_RELATED if number else 0)
            parts.append(self._header(message.command, charge, self._next_id, flags, following, body))
            self._waiting[self._next_id] = one
            pending.append(one)
            self._next_id += charge
            self._spent += charge
        return b"".join(parts), pending

    def _header(self, command: int, charge: int, message_id: int, flags: int, following: int, body: bytes) -> bytes:
        wanted = charge + 32 if self._credits < _CREDITS_WANTED else charge
        charge = charge if self._multi_credit else 0
        if self._signer:
            flags |= _SIGNED
        packed = _HEADER.pack(
            b"\xfeSMB", 64, charge, 0, command, wanted, flags, following, message_id, 0, self._tree_id,
            self._session_id, _ZEROS,
        )  # fmt: skip
        if not self._signer:
            return packed + body
        return packed[:48] + self._signer.sign(packed, body, message_id) + body

    def _put(self, frames: Sequence[bytes]) -> None:
        if self._broken is not None:
            raise Broken(self._broken)
        if self._cipher:
            frames = [self._cipher.seal(frame, self._session_id) for frame in frames]
        try:
            if frames:
                self._socket.sendall(b"".join(part for frame in frames for part in (_LENGTH.pack(len(frame)), frame)))
        except OSError as error:
            raise self._fail(str(error)) from error

    # --- receiving -------------------------------------------------------------------------------------------------

    def _read_one(self) -> None:
        """Reads one frame and gives each answer in it to its request."""
        if self._broken is not None:
            raise Broken(self._broken)
        try:
            frame = self._read_frame()
            sealed = bytes(frame[:4]) == b"\xfdSMB"
            if sealed:
                if self._cipher is None:
                    raise ValueError("encrypted, though nobody asked for it")
                frame = self._cipher.open(frame)
            elif self._cipher is not None:
                raise ValueError("not encrypted")
            self._hand_out(frame, check=self._signer if not sealed else None)
        except (OSError, ValueError, struct.error, InvalidTag) as error:
            raise self._fail(str(error) or type(error).__name__) from error

    def _read_frame(self) -> memoryview:
        """The next frame; the buffer behind it has room for a tag (see `_Cipher.open`)."""
        (length,) = _LENGTH.unpack(self._read_bytes(_LENGTH.size))
        if not _HEADER.size <= length < _LONGEST:
            raise ValueError("no SMB message")
        return self._read_bytes(length, _TAG)[:length]

    def _read_bytes(self, length: int, spare: int = 0) -> memoryview:
        """So many bytes and so much room behind them. Several small frames come with one call of the system."""
        data = memoryview(bytearray(length + spare))
        at = 0
        while at < length:
            if not self._arrived and length - at >= len(self._buffer):
                count = self._received(data[at:length])
            else:
                if not self._arrived:
                    self._arrived = self._buffer[: self._received(self._buffer)]
                count = min(length - at, len(self._arrived))
                data[at : at + count] = self._arrived[:count]
                self._arrived = self._arrived[count:]
            at += count
        return data

    def _received(self, place: memoryview) -> int:
        count = self._socket.recv_into(place)
        if not count:
            raise ConnectionResetError("the server hung up")
        return count

    def _hand_out(self, frame: memoryview, check: _Signer | None) -> None:
        while frame:
            header = _HEADER.unpack_from(frame)
            mark, _, _, status, command, credits, flags, following, message_id, _, _, _, signature = header
            if mark != b"\xfeSMB" or following > len(frame) or (following and following < _HEADER.size):
                raise ValueError("no SMB answer")
            answer = frame[:following] if following else frame
            frame = frame[following:] if following else frame[:0]
            pending = self._waiting.get(message_id)
            if pending is None or not flags & _ANSWERED:
                if command == requests.OPLOCK_BREAK and message_id == _UNASKED:
                    self.written.add(wire.parse_break(answer[_HEADER.size :]))
                continue  # or an answer to what nobody waits for any more
            if status == _PENDING and flags & _ASYNC:
                self._granted += credits
                continue
            if check is not None and not check.is_signed(answer, message_id, signature):
                raise ValueError("the server's signature is wrong")
            self._granted += credits
            del self._waiting[message_id]
            pending.body = answer[_HEADER.size :]
            pending.status = status

    def _fail(self, why: str) -> Broken:
        if self._broken is None:
            self._broken = why
            try:
                self._socket.shutdown(socket.SHUT_RDWR)  # wakes whoever is reading
            except OSError:
                pass
            self._socket.close()
        return Broken(self._broken)


class _Signer:
    """Signs requests and checks the signatures of answers, [MS-SMB2] 3.1.4.1."""

    def __init__(self, connection: Connection, session: Session) -> None:
        self._key: bytes = session.signing_key
        algorithm = SigningAlgorithms.HMAC_SHA256
        if connection.dialect >= Dialects.SMB_3_0_0:
            algorithm = SigningAlgorithms.AES_CMAC
        if connection.dialect >= Dialects.SMB_3_1_1 and connection.signing_algorithm_id is not None:
            algorithm = connection.signing_algorithm_id
        self._algorithm = algorithm
        self._gcm = AESGCM(self._key)

    def sign(self, header: bytes, body: bytes, message_id: int) -> bytes:
        """The signature of a request; `header` has zeros where it goes."""
        return self._signature(header + body, message_id, 0)

    def is_signed(self, answer: memoryview, message_id: int, signature: bytes) -> bool:
        """Whether the answer has this signature, which is wiped out of it."""
        answer[48:64] = _ZEROS
        return hmac.compare_digest(self._signature(answer, message_id, 1), signature)

    def _signature(self, message: bytes | memoryview, message_id: int, marks: int) -> bytes:
        if self._algorithm == SigningAlgorithms.AES_GMAC:
            return self._gcm.encrypt(_NONCE.pack(message_id, marks), b"", message)
        if self._algorithm == SigningAlgorithms.AES_CMAC:
            maker = cmac.CMAC(AES(self._key))
            maker.update(bytes(message))
            return maker.finalize()
        return hmac.digest(self._key, message, "sha256")[:16]


class _Cipher:
    """Encrypts frames both ways, [MS-SMB2] 3.1.4.3."""

    def __init__(self, connection: Connection, session: Session) -> None:
        identity = connection.cipher_id if connection.dialect >= Dialects.SMB_3_1_1 else Ciphers.AES_128_CCM
        counter_mode = identity in (Ciphers.AES_128_GCM, Ciphers.AES_256_GCM)
        kind: type[AESGCM] | type[AESCCM] = AESGCM if counter_mode else AESCCM
        self._nonce_length = 12 if counter_mode else 11
        self._out = kind(session.encryption_key)
        self._in = kind(session.decryption_key)

    def seal(self, frame: bytes, session_id: int) -> bytes:
        nonce = os.urandom(self._nonce_length)
        header = _TRANSFORM.pack(b"\xfdSMB", _ZEROS, nonce.ljust(16, b"\0"), len(frame), 0, 1, session_id)
        sealed = self._out.encrypt(nonce, frame, header[20:])
        return b"".join((header[:4], sealed[-16:], header[20:], sealed[:-16]))

    def open(self, frame: memoryview) -> memoryview:
        """What the frame holds. Raises `InvalidTag` for what the server did not seal."""
        nonce, header = bytes(frame[20 : 20 + self._nonce_length]), bytes(frame[20 : _TRANSFORM.size])
        # The tag goes behind what it seals, into room that `_read_frame` left: a copy less of everything that is read.
        whole = memoryview(frame.obj)[: len(frame) + _TAG]
        whole[-_TAG:] = frame[4:20]
        return memoryview(self._in.decrypt(nonce, whole[_TRANSFORM.size :], header))
