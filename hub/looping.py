"""`ooievaar map` and `ooievaar project`: one loop each, with health, readiness and figures beside it. And `topics`, which they read from."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterable

import structlog

from hub import wiring
from hub.api.aside import create_aside
from hub.api.figures import Sample
from hub.api.ports import Operated
from hub.loops import Heartbeat, Loop, MapLoop, ProjectLoop, calm_garbage_collector
from hub.running import Server, Stop, begin, patiently, run
from hub.settings import Settings
from hub.stores import Stores, kafka_settings, open_received, open_recorded

log = structlog.get_logger(__name__)


def map_(settings: Settings) -> int:
    """The mapper as a process of its own."""
    stores = begin(settings, "map")
    # Before the clients of Kafka start their threads: what is loaded here would keep them from answering the broker in time.
    mapper = wiring.build_mapper(settings, stores)
    received, recorded = patiently(lambda: (open_received(settings, stores, "map"), open_recorded(settings, stores, "map")))
    return _looping(settings, stores, MapLoop(received, stores.hub, recorded, mapper, settings.batch))


def project(settings: Settings) -> int:
    """The projector as a process of its own."""
    stores = begin(settings, "project")
    projector = wiring.build_projector(stores)
    recorded = patiently(lambda: open_recorded(settings, stores, "project"))
    return _looping(settings, stores, ProjectLoop(recorded, stores.hub, projector, stores.keyring, settings.batch))


def _looping(settings: Settings, stores: Stores, loop: Loop) -> int:
    async def main(stop: Stop) -> int:
        api = Operated(checks=wiring.ready_checks(stores, [(loop.name, loop.is_alive)]), samples=lambda: loop_samples(loop.heartbeat, loop.name))
        http = Server(create_aside(api), settings.http_host, settings.http_port)
        await http.start()
        loop.start()
        calm_garbage_collector()
        log.info("process_started", port=settings.http_port)
        await stop.event.wait()
        await asyncio.to_thread(loop.stop)
        await http.stop()
        return 0

    try:
        return run(main)
    finally:
        stores.close()


def loop_samples(heartbeat: Heartbeat, name: str) -> Iterable[Sample]:
    """The figures of one loop."""
    labels = {"loop": name}
    yield Sample("ooievaar_messages_total", "counter", "messages taken from the log", heartbeat.messages, labels)
    yield Sample("ooievaar_events_total", "counter", "events made or folded", heartbeat.events, labels)
    yield Sample("ooievaar_loop_failures_total", "counter", "times the loop had to begin again", heartbeat.failures, labels)
    yield Sample("ooievaar_loop_idle_seconds", "gauge", "time since the last batch", time.monotonic() - heartbeat.last_at, labels)
    for quantile in (0.5, 0.99):
        yield Sample("ooievaar_visible_milliseconds", "gauge", "from coming in to durable here, latest messages", heartbeat.lag_ms(quantile),
                     {**labels, "quantile": str(quantile)})


def topics(settings: Settings) -> int:
    """Make the topics that the settings name; those that exist are left as they are."""
    from hub.log.kafka import ensure_topics

    k = settings.kafka
    made = ensure_topics(kafka_settings(settings, "topics"), [k.received_topic, k.recorded_topic], k.partitions, k.replication, k.min_insync)
    sys.stdout.write(f"topics: {', '.join((k.received_topic, k.recorded_topic))} ({made or 'all were there'})\n")
    return 0
