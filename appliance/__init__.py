"""Kurabako (蔵箱): the firmware layer of a plug-in backup box.

docs/architecture.md is the plan of this house: which room a line belongs to and who may import whom.
"""

__version__ = "0.1.0"
