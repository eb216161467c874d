"""Where the provider's documents come from: an address, a folder of the cloud, a folder of a disk.

Each way hands out what lies there, whatever it is: whether it counts is for whoever takes it.
"""

from appliance.inbox.folder import documents_in_cloud, documents_on_disk
from appliance.inbox.lines import LARGEST_LIST, MOST, documents
from appliance.inbox.poll import Poll, PollFailed
from appliance.inbox.usage import MalformedUsage, parse_usage

__all__ = [
    "LARGEST_LIST",
    "MOST",
    "MalformedUsage",
    "Poll",
    "PollFailed",
    "documents",
    "documents_in_cloud",
    "documents_on_disk",
    "parse_usage",
]
