"""Typing an order into the serial line: the order, then the code, and nothing else means anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.text import T, Text
from appliance_console.dialogue import LONGEST, PATIENCE, Dialogue


class Talk:
    """A dialogue on a clock that is set by hand, and the orders that were given in it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.orders: list[tuple[str, str]] = []
        self._dialogue = Dialogue(self._obey, lambda: self.now)

    def _obey(self, order: str, code: str) -> Text:
        self.orders.append((order, code))
        return T("Done.")

    def type(self, data: bytes) -> list[str]:
        return [answer.render("en") for answer in self._dialogue.feed(data)]


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
@pytest.mark.parametrize("order", ["stop", "resume"])
def test_an_order_is_done_with_the_code_that_follows_it(order: str, end: bytes) -> None:
    talk = Talk()
    said = talk.type(f" {order.upper()}".encode() + end)
    assert said == ["Type the operator code, then Enter."]
    assert talk.orders == []
    assert [talk.type(bytes([byte])) for byte in b"ABCX\x7fD-EFGH"] == [[]] * 11
    assert talk.type(end) == ["Done."]
    assert talk.orders == [(order, "ABCD-EFGH")]
    assert talk.type(b"ABCD-EFGH" + end) == [], "and it is over"


def test_an_order_whose_code_does_not_come_is_forgotten() -> None:
    talk = Talk()
    talk.type(b"stop\r")
    talk.now = PATIENCE + 1
    assert talk.type(b"ABCD-EFGH-JKLM\r") == ["Nothing was changed."]
    assert talk.orders == []


def test_a_long_line_is_neither_an_order_nor_a_code() -> None:
    talk = Talk()
    assert talk.type(b"x" * LONGEST + b"stop\rstop" + b" " * LONGEST + b"x\r") == []
    talk.type(b"stop\r" + b"A" * 100_000 + b"\r")
    assert talk.orders == []


def test_help_says_what_can_be_typed() -> None:
    assert "stop" in Talk().type(b"help\n")[0]


@given(st.lists(st.binary(max_size=100), max_size=20))
def test_noise_orders_nothing(pieces: list[bytes]) -> None:
    talk = Talk()
    for piece in pieces:
        talk.type(piece.replace(b"s", b"").replace(b"S", b""))
    assert talk.orders == []
