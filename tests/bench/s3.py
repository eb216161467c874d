"""First backups into a real RADOS gateway on this machine, whose data lies in memory."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.bench import corpora
from tests.bench.engines import Kurabako, Restic, Run
from tests.support.s3 import Ceph

WORK = "first backup to S3"
_STORED_MOST = 8 << 30
"""Nothing is freed between the runs: the gateway's collector of deleted objects is off."""


def rounds(corpus: corpora.Corpus, count: int) -> list[dict[str, dict[str, Run | int]]]:
    """So many rounds of each engine in turn, each into a bucket of its own."""
    results: list[dict[str, dict[str, Run | int]]] = []
    with tempfile.TemporaryDirectory(prefix="kurabako-bench-ceph-") as folder:
        ceph = Ceph(Path(folder), _STORED_MOST)
        try:
            server = ceph.start()
            credentials = {
                "AWS_ACCESS_KEY_ID": server.access_key,
                "AWS_SECRET_ACCESS_KEY": server.secret_key,
                "AWS_DEFAULT_REGION": server.region,
            }
            for _ in range(count):
                result: dict[str, Run | int] = {}
                for kind in (Kurabako, Restic):
                    engine = kind(f"s3:{server.endpoint}/{server.new_bucket()}/box", credentials)
                    engine.init()
                    corpora.settle()
                    run = result[kind.name] = engine.backup(corpus.path)
                    print(f"  {WORK:18} {kind.name:9} {run.seconds:7.2f} s", file=sys.stderr)
                results.append({WORK: result})
        finally:
            ceph.stop()
    return results
