"""Carrying the vault's snapshots to the cloud: whole files, in the order they depend on each other.

Vault and cloud hold the same immutable files, so it is known to the byte before anything is sent what a snapshot
needs there, and an interrupted replication goes on by comparing names. At every moment the cloud is a complete
repository of the snapshots it has.
"""

from appliance.replication.deletions import (
    DeletionPlan,
    VaultLacks,
    VaultNotWhole,
    execute_deletions,
    plan_deletions,
)
from appliance.replication.execute import ReplicationReport, execute_replication
from appliance.replication.mirror import mirror
from appliance.replication.model import Finding, OtherRepository, Refusal, ReplicationPlan, Step
from appliance.replication.plan import plan_replication

__all__ = [
    "DeletionPlan",
    "Finding",
    "OtherRepository",
    "Refusal",
    "ReplicationPlan",
    "ReplicationReport",
    "Step",
    "VaultLacks",
    "VaultNotWhole",
    "execute_deletions",
    "execute_replication",
    "mirror",
    "plan_deletions",
    "plan_replication",
]
