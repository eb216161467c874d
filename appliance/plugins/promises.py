"""What a hook promises to hand out, and whether a plugin kept it.

The promises are the annotations in `appliance.hookspecs`, so a hook added there is checked here without a word
more. Values are checked as deep as they decide anything: a `StorageKind` whose scheme is a number is found when
the plugin hands it out, not when somebody opens a URL.
"""

from __future__ import annotations

import collections.abc
import importlib
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

from appliance.hookspecs import KurabakoSpec


class PromiseBroken(Exception):
    """A hook handed out something else than its specification says. The message names what and what was expected."""


@cache
def _promise(hook: str) -> Any:
    return _hints(getattr(KurabakoSpec, hook))["return"]


def collects(hook: str) -> bool:
    """Whether the hook hands out any number of values, rather than one or None."""
    return typing.get_origin(_promise(hook)) is collections.abc.Iterable


def kept(hook: str, result: Any, values: list[Any]) -> list[Any]:
    """`values` with what a plugin handed out, in order; nothing for None. Generators run here.

    Raises `PromiseBroken`, and whatever a generator raises; what it handed out before is in `values` then.
    """
    promise = _promise(hook)
    if result is None:
        return values
    if not collects(hook):
        require(result, promise, hook)
        values.append(result)
        return values
    if isinstance(result, (str, bytes, Mapping)) or not isinstance(result, Iterable):
        raise PromiseBroken(f"{hook} must hand out several values, not {_name(type(result))}")
    (item,) = typing.get_args(promise)
    for value in result:
        require(value, item, hook)
        values.append(value)
    return values


def require(value: Any, hint: Any, where: str) -> None:
    """Raises `PromiseBroken` unless `value`, handed out at `where`, is what `hint` promises."""
    if not _fits(value, hint):
        raise PromiseBroken(f"{where} must be {_name(hint)}, not {_name(type(value))}")
    if isinstance(hint, type) and is_dataclass(hint):
        for one in fields(hint):
            require(getattr(value, one.name), _hints(hint)[one.name], f"{where}: {_name(hint)}.{one.name}")


def _fits(value: Any, hint: Any) -> bool:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, one) for one in arguments)
    if origin is collections.abc.Callable:
        return callable(value)
    if origin is type:
        return isinstance(value, type) and issubclass(value, arguments[0])
    if origin is not None:
        return isinstance(value, origin)
    if getattr(hint, "_is_protocol", False):
        return all(hasattr(value, member) for member in vars(hint) if not member.startswith("_"))
    return isinstance(value, hint)


class _Late(dict[str, Any]):
    """What hookspecs names but does not import, as that is slow; imported when a hint that is looked at names it."""

    _FROM: typing.ClassVar[Mapping[str, str]] = {
        "APIRouter": "fastapi",
        "BaseModel": "pydantic",
        "SecretStr": "pydantic",
        "Board": "appliance.hardware",
        "ServiceProfile": "appliance.contract.profile",
    }

    def __missing__(self, name: str) -> Any:
        if name == "typer":
            return importlib.import_module(name)
        return getattr(importlib.import_module(self._FROM[name]), name)


@cache
def _hints(of: Any) -> dict[str, Any]:
    return typing.get_type_hints(of, localns=_Late())


def _name(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
