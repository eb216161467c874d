"""Evidence: a record of what happened under the contract that nobody can alter unnoticed."""

from appliance.evidence.chain import START, ChainBroken, Head, Record, lines_of, verify
from appliance.evidence.log import EvidenceError, EvidenceLog

__all__ = ["START", "ChainBroken", "EvidenceError", "EvidenceLog", "Head", "Record", "lines_of", "verify"]
