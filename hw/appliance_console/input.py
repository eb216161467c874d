"""Listens on the serial line for signed documents, and answers each with one sentence. There is no shell behind it."""

from __future__ import annotations

import logging
import threading

import serial

from appliance.hookspecs import OnDocument
from appliance_console.paste import Paste

logger = logging.getLogger(__name__)

WAY = "console"
PAUSE = 5.0
"""Seconds before a port that cannot be opened is tried again."""


class ConsoleInput:
    """A watch: listens in a thread of its own until closed. A port that is missing or vanishes is tried again."""

    def __init__(self, port: str, baud: int, language: str, on_document: OnDocument) -> None:
        self._port = port
        self._baud = baud
        self._language = language
        self._on_document = on_document
        self._closing = threading.Event()
        self.listening = threading.Event()
        """Set once the port was opened; what arrived before is lost."""
        self._thread = threading.Thread(target=self._run, name="listen console", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._thread.join(1.0)

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                with serial.Serial(self._port, self._baud, timeout=0.2, write_timeout=2.0) as line:
                    self.listening.set()
                    self._listen(line)
            except (OSError, ValueError) as error:
                logger.debug("the serial line %s cannot be read: %s", self._port, error)
                self._closing.wait(PAUSE)

    def _listen(self, line: serial.Serial) -> None:
        paste = Paste()
        while not self._closing.is_set():
            for document in paste.feed(line.read(max(1, min(line.in_waiting, 4096)))):
                answer = self._on_document(document, WAY).render(self._language)
                line.write(f"\r\n{answer}\r\n".encode("ascii" if self._language == "en" else "utf-8", "replace"))
