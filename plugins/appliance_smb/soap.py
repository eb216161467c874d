"""The messages of WS-Discovery: what is asked, and what devices answer. Pure.

Sources: WS-Discovery (April 2005) 4 to 6; Devices Profile for Web Services (February 2006) 3 and 5;
[MS-PBSD] 2.2 for what a Windows computer says of itself. Messages come from anybody: they are short, have no document
type (SOAP 1.2, part 1, 5), and hold few things; `ValueError` says that one is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

GROUP, PORT = "239.255.255.250", 3702  # WS-Discovery 2.4
LARGEST = 64 << 10
"""Bytes of a message at most; a datagram has no more."""

_MOST_MATCHES = 16
_LONGEST = 512

_SOAP = "http://www.w3.org/2003/05/soap-envelope"
_WSA = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
_WSD = "http://schemas.xmlsoap.org/ws/2005/04/discovery"
_PUB = "http://schemas.microsoft.com/windows/pub/2005/07"
_NAMES = {"soap": _SOAP, "wsa": _WSA, "wsd": _WSD, "pub": _PUB}
_TO_ALL = "urn:schemas-xmlsoap-org:ws:2005:04:discovery"
_ANSWERS = {
    "Hello": "Hello",
    "ProbeMatches": "ProbeMatches/wsd:ProbeMatch",
    "ResolveMatches": "ResolveMatches/wsd:ResolveMatch",
}

_ENVELOPE = """<?xml version="1.0" encoding="utf-8"?>
<soap:Envelope xmlns:soap="{soap}" xmlns:wsa="{wsa}" xmlns:wsd="{wsd}"\
 xmlns:wsdp="http://schemas.xmlsoap.org/ws/2006/02/devprof">\
<soap:Header><wsa:To>{to}</wsa:To><wsa:Action>{action}</wsa:Action><wsa:MessageID>{message}</wsa:MessageID>\
<wsa:ReplyTo><wsa:Address>{wsa}/role/anonymous</wsa:Address></wsa:ReplyTo></soap:Header>\
<soap:Body>{body}</soap:Body></soap:Envelope>"""


@dataclass(frozen=True)
class Device:
    """A device of which a message tells. `places` are the web addresses at which it can be asked, if it says so."""

    endpoint: str
    may_be_computer: bool
    places: tuple[str, ...]
    leaves: bool = False


def probe(message: UUID) -> bytes:
    """Asks all devices on the network to say that they are there."""
    return _envelope(_TO_ALL, f"{_WSD}/Probe", message, "<wsd:Probe><wsd:Types>wsdp:Device</wsd:Types></wsd:Probe>")


def resolve(message: UUID, endpoint: str) -> bytes:
    """Asks a device where it can be asked further."""
    reference = f"<wsa:EndpointReference><wsa:Address>{escape(endpoint)}</wsa:Address></wsa:EndpointReference>"
    return _envelope(_TO_ALL, f"{_WSD}/Resolve", message, f"<wsd:Resolve>{reference}</wsd:Resolve>")


def get(message: UUID, endpoint: str) -> bytes:
    """Asks a device what it is, over HTTP."""
    return _envelope(endpoint, "http://schemas.xmlsoap.org/ws/2004/09/transfer/Get", message, "")


def parse(message: bytes) -> list[Device]:
    """The devices of which a message tells; none for a message of another kind."""
    envelope = _parse(message)
    action = _text(envelope, "soap:Header/wsa:Action").removeprefix(f"{_WSD}/")
    if action == "Bye":
        endpoint = _text(envelope, "soap:Body/wsd:Bye/wsa:EndpointReference/wsa:Address")
        return [Device(endpoint, False, (), leaves=True)] if endpoint else []
    path = _ANSWERS.get(action)
    if path is None:
        return []
    return list(_devices(envelope.findall(f"soap:Body/wsd:{path}", _NAMES)[:_MOST_MATCHES]))


def computer_name(message: bytes) -> str:
    """What the computer calls itself, in the answer to `get`; empty for a device that is none.

    It says `NAME/Workgroup:GROUP`, `NAME/Domain:DOMAIN` or `NAME\\NotJoined`.
    """
    for element in _parse(message).iter(f"{{{_PUB}}}Computer"):
        return (element.text or "")[:_LONGEST].strip().replace("\\", "/").partition("/")[0]
    return ""


def _devices(matches: list[Element]) -> Iterator[Device]:
    for match in matches:
        endpoint = _text(match, "wsa:EndpointReference/wsa:Address")
        kinds = _text(match, "wsd:Types").split()
        places = _text(match, "wsd:XAddrs").split()
        if endpoint:
            # Kinds need not be told, and their prefix may be any: it is asked what it is all the same.
            may_be = not kinds or any(one.rpartition(":")[2] == "Computer" for one in kinds)
            yield Device(endpoint, may_be, tuple(places))


def _parse(message: bytes) -> Element:
    if len(message) > LARGEST:
        raise ValueError("too long a message")
    try:
        found: Element = fromstring(message, forbid_dtd=True)
    except (ParseError, DefusedXmlException, LookupError, UnicodeError) as error:
        raise ValueError("no XML, or of a kind that SOAP does not allow") from error
    if found.tag != f"{{{_SOAP}}}Envelope":
        raise ValueError("no SOAP message")
    return found


def _text(element: Element, path: str) -> str:
    text = (element.findtext(path, namespaces=_NAMES) or "").strip()
    if len(text) > _LONGEST:
        raise ValueError("too long a value")
    return text


def _envelope(to: str, action: str, message: UUID, body: str) -> bytes:
    return _ENVELOPE.format(
        soap=_SOAP, wsa=_WSA, wsd=_WSD, to=escape(to), action=action, message=message.urn, body=body
    ).encode()
