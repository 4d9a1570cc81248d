"""A process that appends to a log until it is killed, and says what was acknowledged: `python -m tests.log.appender STORE NAME BATCH`.

Prints the ids of a batch, one line, after `append` returned.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from hub.database import open_sqlite
from hub.log.kafka import KafkaLog
from hub.log.port import EventLog
from hub.log.sqlite import SqliteLog
from hub.tables import received
from tests.log.records import record
from tests.parts.broker import quick_settings


def open_log(store: str, name: str) -> EventLog:
    """`sqlite PATH` or `kafka BOOTSTRAP/TOPIC`."""
    if store == "sqlite":
        return SqliteLog(open_sqlite(Path(name), ["received"]), received)
    bootstrap, topic = name.split("/")
    return KafkaLog(topic, quick_settings(bootstrap))


def main(store: str, name: str, batch: int) -> None:
    """Append batches for ever."""
    log = open_log(store, name)
    for first in itertools.count(0, batch):
        records = [record(n, key=f"woman-{n % 7}") for n in range(first, first + batch)]
        log.append(records)
        print(*(r.id for r in records), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
