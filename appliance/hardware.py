"""What a board is like, as data: which LED, which serial port, which drive slots.

The core knows no hardware. A board is a value read from a TOML file (`hw/boards/` in the source tree,
`appliance/boards/` in an installed one, or any file of a vendor's), and hardware plugins take their defaults from
it: `PluginContext.board`.
"""

from __future__ import annotations

import fnmatch
import re
import tomllib
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from appliance.errors import KurabakoError
from appliance.text import T

GENERIC = "generic-pc"
"""The board assumed where none is known."""


class BoardError(KurabakoError):
    """A board file is not there or is not right."""

    code = "hardware.board"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Match(_Part):
    """How a board is recognised: all that is given must be so.

    `compatible` is an entry of the device tree's `compatible`; `vendor` and `product` are patterns (`fnmatch`, any
    case) for DMI's `sys_vendor` and `product_name`.
    """

    compatible: str | None = None
    vendor: str | None = None
    product: str | None = None


class Leds(_Part):
    """LEDs under `/sys/class/leds`, by their full names; `status` from the calmest colour to the most urgent."""

    status: tuple[str, ...] = ()


class SerialPort(_Part):
    """A serial port of the board and its speed in baud, 8N1."""

    port: str
    baud: Annotated[int, Field(gt=0)] = 115200


class Slot(_Part):
    """A drive slot as it is labelled on the case.

    `paths` are patterns (`fnmatch`) for udev's `ID_PATH`; none where nobody has verified which port the slot is.
    """

    number: Annotated[int, Field(ge=1)]
    paths: tuple[str, ...] = ()
    activity_led: str | None = None
    fault_led: str | None = None


class Board(_Part):
    """A board. `console` is the field engineer's serial line; `panel` a port that a front display occupies."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    title: str
    match: Match | None = None
    leds: Leds = Leds()
    console: SerialPort | None = None
    panel: SerialPort | None = None
    slots: tuple[Slot, ...] = ()

    def slot_of(self, id_path: str) -> int | None:
        """The number of the slot at udev's `ID_PATH`, or None when it is none of the slots."""
        for slot in self.slots:
            if any(fnmatch.fnmatchcase(id_path, pattern) for pattern in slot.paths):
                return slot.number
        return None


def board_names() -> list[str]:
    """The boards that come with the box."""
    return sorted(item.name.removesuffix(".toml") for item in _folder().iterdir() if item.name.endswith(".toml"))


def load_board(name: str) -> Board:
    """The board called `name`, or the one in the file `name` when that ends with `.toml`.

    Raises `BoardError` when there is none or the file is not right.
    """
    if name.endswith(".toml"):
        return _read(Path(name))
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name) or not (item := _folder() / f"{name}.toml").is_file():
        raise BoardError(
            T("There is no board called {name}.", name=name),
            todo=T("Known boards are: {names}.", names=", ".join(board_names())),
        )
    return _read(item)


def find_board(root: Path = Path("/")) -> Board:
    """The board this machine says it is, by device tree or DMI; the generic PC when it is none we know.

    `root` is where `proc` and `sys` are found.
    """
    compatible = _words(root / "proc/device-tree/compatible", "\0")
    vendor = " ".join(_words(root / "sys/class/dmi/id/sys_vendor", "\n"))
    product = " ".join(_words(root / "sys/class/dmi/id/product_name", "\n"))
    for name in board_names():
        board = load_board(name)
        if board.match is not None and _is(board.match, compatible, vendor, product):
            return board
    return load_board(GENERIC)


def _is(match: Match, compatible: list[str], vendor: str, product: str) -> bool:
    wanted = [
        match.compatible is None or match.compatible in compatible,
        match.vendor is None or fnmatch.fnmatch(vendor.casefold(), match.vendor.casefold()),
        match.product is None or fnmatch.fnmatch(product.casefold(), match.product.casefold()),
    ]
    return all(wanted) and any((match.compatible, match.vendor, match.product))


def _words(path: Path, separator: str) -> list[str]:
    try:
        text = path.read_text("utf-8", "replace")
    except OSError:
        return []
    return [word.strip() for word in text.split(separator) if word.strip()]


def _folder() -> Traversable:
    """`appliance/boards` of a wheel; in a source tree the files stay with the rest of the hardware."""
    package = resources.files("appliance")
    installed = package / "boards"
    return installed if installed.is_dir() else package / ".." / "hw" / "boards"


def _read(item: Traversable) -> Board:
    try:
        return Board.model_validate(tomllib.loads(item.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BoardError(
            T("The board file {file} cannot be read: {why}.", file=str(item), why=str(error)),
        ) from error
    except ValidationError as error:
        mistakes = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise BoardError(
            T("The board file {file} is not right: {mistakes}.", file=str(item), mistakes=mistakes),
        ) from error
