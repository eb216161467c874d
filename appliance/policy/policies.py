"""Which policy a source has: the built-in values, `[policy]`, what fits of `[[policies]]`, what was chosen for it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import ValidationError

from appliance.allowed import allowed
from appliance.errors import ExitCode, KurabakoError
from appliance.policy.model import FIELDS, PolicyRules, SourcePolicy
from appliance.sources.interface import FoundSource
from appliance.state import State
from appliance.text import T

logger = logging.getLogger(__name__)

_CHOSEN = "policy:"
"""Begins the state's names for what was chosen, with the source's id."""

NOTHING = "none"
"""What stands for no value where one may be missing."""


class PolicyMistake(KurabakoError):
    """A value that no policy can have, or a name that is none."""

    code = "policy.wrong"
    exit_code = ExitCode.USAGE


class Origin(StrEnum):
    """Where a value comes from."""

    DEFAULT = "default"
    SETTINGS = "settings"
    RULE = "rule"
    CHOSEN = "chosen"


@dataclass(frozen=True)
class ResolvedPolicy:
    """A source's policy and where each of its values comes from, by name."""

    policy: SourcePolicy
    origins: Mapping[str, Origin]


class Policies:
    """The policies of all sources."""

    def __init__(self, default: SourcePolicy, rules: PolicyRules, state: Callable[[], State]) -> None:
        self._default = default
        self._rules = rules.root
        self._state = state

    def of(self, source: FoundSource) -> SourcePolicy:
        """What is decided about `source`. Raises `StateError`."""
        return self.resolve(source).policy

    def resolve(self, source: FoundSource) -> ResolvedPolicy:
        """The policy of `source` and where it comes from. Raises `StateError`."""
        values = self._default.model_dump()
        written = self._default.model_fields_set
        origins = {name: Origin.SETTINGS if name in written else Origin.DEFAULT for name in FIELDS}
        for rule in self._rules:
            if rule.fits(source):
                values |= rule.given
                origins |= dict.fromkeys(rule.given, Origin.RULE)
        chosen = {name: value for name, value in self._chosen(source.id).items() if _is_possible(name, value)}
        values |= chosen
        origins |= dict.fromkeys(chosen, Origin.CHOSEN)
        return ResolvedPolicy(SourcePolicy.model_validate(values), origins)

    def choose(self, source: FoundSource, name: str, words: Sequence[str]) -> ResolvedPolicy:
        """Sets the value `name` of this source's policy to what a person wrote. Raises `PolicyMistake`, `StateError`.

        A list takes any number of words, any other value one; `none` stands for no value.
        """
        value = _value(name, words)
        self._state().set_value(_CHOSEN + source.id, {**self._chosen(source.id), name: value})
        return self.resolve(source)

    def take_back(self, source: FoundSource, name: str) -> ResolvedPolicy:
        """Lets the settings decide again about the value `name`. Raises `PolicyMistake`, `StateError`."""
        _require_field(name)
        chosen = self._chosen(source.id)
        chosen.pop(name, None)
        self._state().set_value(_CHOSEN + source.id, chosen)
        return self.resolve(source)

    def _chosen(self, source_id: str) -> dict[str, Any]:
        chosen: dict[str, Any] = self._state().value(_CHOSEN + source_id, {})
        return chosen


def _is_possible(name: str, value: object) -> bool:
    """Whether a value that was chosen is still one: another version of this software may have kept it."""
    try:
        SourcePolicy.model_validate({name: value})
    except ValidationError:
        logger.warning("the chosen %s of a policy is left out: it is not possible", name)
        return False
    return True


def _require_field(name: str) -> None:
    if name not in FIELDS:
        raise PolicyMistake(
            T("A source's policy has no value {name}.", name=name),
            safe=T("Nothing was changed."),
            todo=T("Write one of {choices}.", choices=", ".join(FIELDS)),
        )


def _value(name: str, words: Sequence[str]) -> Any:
    """What the words say, checked, as JSON has it."""
    _require_field(name)
    field = SourcePolicy.model_fields[name]
    given: object = list(words)
    if not isinstance(field.default, tuple):
        if len(words) != 1:
            raise _mistake(name, words, T("write exactly one value"))
        given = None if words[0] == NOTHING and field.default is None else words[0]
    try:
        policy = SourcePolicy.model_validate({name: given})
    except ValidationError as error:
        raise _mistake(name, words, allowed(error.errors(include_url=False)[0])) from error
    return policy.model_dump(mode="json", include={name})[name]


def _mistake(name: str, words: Sequence[str], why: object) -> PolicyMistake:
    return PolicyMistake(
        T("{name} cannot be {value}: {why}.", name=name, value=" ".join(words) or "–", why=why),
        safe=T("Nothing was changed."),
    )
