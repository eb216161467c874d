"""Immutability: what the cloud holds cannot be deleted before its date, not even with the box's own credentials.

Built on S3 Object Lock. Every file of the repository but its locks is protected when it is stored, and for as long as
it is not deleted its date is moved on before it comes near (`plan_protection`, `execute_protection`). What the box
deletes is hidden by a delete marker, counts on, and goes for good once its date is over. What somebody else deleted or
overwrote is known, since the box notes what it deletes itself, and can be brought back (`plan_undelete`,
`execute_undelete`).
"""

from appliance.protection.execute import ProtectionReport, execute_protection
from appliance.protection.letting_go import LettingGo
from appliance.protection.model import Protection, ProtectionPlan, is_protected
from appliance.protection.plan import plan_protection
from appliance.protection.undelete import UndeletePlan, execute_undelete, plan_undelete

__all__ = [
    "LettingGo",
    "Protection",
    "ProtectionPlan",
    "ProtectionReport",
    "UndeletePlan",
    "execute_protection",
    "execute_undelete",
    "is_protected",
    "plan_protection",
    "plan_undelete",
]
