"""Listens on the serial line for signed documents and for orders, and answers each. There is no shell behind it."""

from __future__ import annotations

import logging
import threading
import time

import serial

from appliance.hookspecs import OnDocument, OnOrder
from appliance.text import Text
from appliance_console.dialogue import Dialogue
from appliance_console.paste import Paste

logger = logging.getLogger(__name__)

WAY = "console"
PAUSE = 5.0
"""Seconds before a port that cannot be opened is tried again."""


class ConsoleInput:
    """A watch: listens in a thread of its own until closed. A port that is missing or vanishes is tried again."""

    def __init__(self, port: str, baud: int, language: str, on_document: OnDocument, on_order: OnOrder) -> None:
        self._port = port
        self._baud = baud
        self._language = language
        self._on_document = on_document
        self._on_order = on_order
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
        dialogue = Dialogue(lambda order, code: self._on_order(order, code, WAY), time.monotonic)
        while not self._closing.is_set():
            data = line.read(max(1, min(line.in_waiting, 4096)))
            for document in paste.feed(data):
                self._say(line, self._on_document(document, WAY))
            for answer in dialogue.feed(data):
                self._say(line, answer)

    def _say(self, line: serial.Serial, answer: Text) -> None:
        said = answer.render(self._language)
        line.write(f"\r\n{said}\r\n".encode("ascii" if self._language == "en" else "utf-8", "replace"))
