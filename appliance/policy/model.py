"""The policy of a source as a value. Pure: what it says is checked here, what follows from it is done elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, RootModel

from appliance.fields import Section, Size
from appliance.policy.presets import PRESETS
from appliance.policy.retention import parse_keep
from appliance.schedule.field import PlannedTime
from appliance.sources.interface import AskedAgain, FoundSource, Medium, PreviousVersions
from appliance.sources.selection import Selection
from appliance.text import T

if TYPE_CHECKING:
    from appliance.upkeep.retention import Policy as Retention

MOST_PATTERNS = 1000
"""Patterns in one list: each entry of a source is compared with all of them."""

READERS: Mapping[Medium, int] = {
    Medium.SPINNING: 1,  # a second reader makes the heads jump between two files
    Medium.SOLID: 2,
    Medium.NETWORK: 8,  # each file costs round trips, during which others can be read
    Medium.UNKNOWN: 1,
}
"""Files read at once where the policy does not say."""


def _included(patterns: tuple[str, ...]) -> tuple[str, ...]:
    Selection(include=patterns)
    return patterns


def _excluded(patterns: tuple[str, ...]) -> tuple[str, ...]:
    Selection(patterns)
    return patterns


def _presets(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in PRESETS:
            raise ValueError(T("write one of {choices}", choices=", ".join(PRESETS)))
    return names


def _keep(rules: tuple[str, ...]) -> tuple[str, ...]:
    parse_keep(rules)
    return rules


class SourcePolicy(Section):
    """What is decided about a source. docs/settings.md says the same of each value to those who set it.

    `start`: on the planned times, when it arrives, or both; `schedule`: its own planned times, the box's when empty.
    `include`, `exclude`: patterns (`appliance.sources.patterns`); `presets`: names of `PRESETS`, excluded too.
    `settle`: seconds a file must not have been written to before it is read; 0 reads at once.
    `filename_policy`: whether the contract's rules about file names are applied. `my_number`: what the customer
    declared about 特定個人情報 (Specific Personal Information) in it. `viewers`: who may see it, as a contract may ask.
    `readers`: files read at once, None for what suits the medium. `read_limit`: bytes per second, None for no limit.
    `keep`: retention rules (`appliance.policy.retention`); empty for the box's own.
    `on_page`: whether the page on the LAN names the source. `cross_file_systems`: whether file systems that are mounted
    inside it are read as part of it. `previous_versions`: when earlier states that the server keeps are read: never, of
    locked files, or always. `permissions`: of which files a server is asked for permissions where its times do not tell
    that they changed: always of all, or of those whose content changed. `reread_days`: after how many days every file
    is read again, however unchanged it looks; None for never.
    """

    start: Literal["schedule", "arrival", "both"] = "both"
    schedule: tuple[PlannedTime, ...] = ()
    include: Annotated[tuple[str, ...], Field(max_length=MOST_PATTERNS), AfterValidator(_included)] = ()
    exclude: Annotated[tuple[str, ...], Field(max_length=MOST_PATTERNS), AfterValidator(_excluded)] = ()
    presets: Annotated[tuple[str, ...], AfterValidator(_presets)] = ("recycle-bins", "thumbnails", "system")
    settle: Annotated[int, Field(ge=0, le=3600)] = 0
    filename_policy: bool = True
    my_number: Literal["undeclared", "none", "contained"] = "undeclared"
    viewers: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=100)], ...], Field(max_length=100)] = ()
    readers: Annotated[int, Field(ge=1, le=32)] | None = None
    read_limit: Annotated[Size, Field(gt=0)] | None = None
    keep: Annotated[tuple[str, ...], AfterValidator(_keep)] = ()
    on_page: bool = True
    cross_file_systems: bool = False
    previous_versions: PreviousVersions = "locked"
    permissions: AskedAgain = "always"
    reread_days: Annotated[int, Field(ge=1, le=3650)] | None = None

    @property
    def on_schedule(self) -> bool:
        """Whether planned times start its backup."""
        return self.start != "arrival"

    @property
    def on_arrival(self) -> bool:
        """Whether its arrival starts its backup."""
        return self.start != "schedule"

    @property
    def excluded(self) -> tuple[str, ...]:
        """Every pattern that leaves out, the presets' first, so that `exclude` can take them back."""
        return (*(pattern for name in self.presets for pattern in PRESETS[name].patterns), *self.exclude)

    @property
    def retention(self) -> Retention:
        """What `appliance.upkeep.retention` is to keep; it is empty (false) where `keep` says nothing."""
        return parse_keep(self.keep)

    def readers_for(self, medium: Medium) -> int:
        """Files to be read at once from such a medium."""
        return self.readers or READERS[medium]


class PolicyRule(SourcePolicy):
    """A table `[[policies]]`: what is other than in `[policy]` for sources whose id or title matches `source`.

    Only values that are written count (`given`). `*`, `?` and `[…]` in `source` stand for any text, sign and set.
    """

    source: Annotated[str, Field(min_length=1)]

    @property
    def given(self) -> dict[str, Any]:
        """The values that are written."""
        return {name: getattr(self, name) for name in FIELDS if name in self.model_fields_set}

    def fits(self, source: FoundSource) -> bool:
        """Whether the rule is about this source."""
        return any(name == self.source or fnmatchcase(name, self.source) for name in (source.id, source.title))


class PolicyRules(RootModel[tuple[PolicyRule, ...]]):
    """All tables `[[policies]]`; where several fit a source, the later one counts."""

    root: tuple[PolicyRule, ...] = ()


FIELDS = tuple(SourcePolicy.model_fields)
"""The names of a policy's values."""
