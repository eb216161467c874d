"""What is decided about each source: when it is backed up, what of it, how it is read and how long it is kept."""

from appliance.policy.known import KnownSource, NotCollectable, NotDesignated
from appliance.policy.model import FIELDS, PolicyRule, PolicyRules, SourcePolicy
from appliance.policy.policies import Origin, Policies, PolicyMistake, ResolvedPolicy
from appliance.policy.presets import PRESETS

__all__ = [
    "FIELDS",
    "PRESETS",
    "KnownSource",
    "NotCollectable",
    "NotDesignated",
    "Origin",
    "Policies",
    "PolicyMistake",
    "PolicyRule",
    "PolicyRules",
    "ResolvedPolicy",
    "SourcePolicy",
]
