"""What an operator's machines ask: `/health` (alive), `/ready` (may get traffic) and `/metrics` (Prometheus text). Never personal data."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import orjson
import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hub.api.answers import WrongMethod
from hub.api.figures import Sample
from hub.api.ports import Operated

log = structlog.get_logger(__name__)

PATHS: Final = frozenset({"/health", "/ready", "/metrics"})
CHECK_TIMEOUT_S: Final = 2.0
_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"


class Operations:
    """The ASGI app of the three routes."""

    def __init__(self, parts: Operated, *, timeout_s: float = CHECK_TIMEOUT_S) -> None:
        self._parts, self._timeout = parts, timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["method"] not in ("GET", "HEAD"):
            raise WrongMethod("GET")
        match scope["path"]:
            case "/health":
                response = Response(b'{"status":"alive"}', media_type="application/json")
            case "/ready":
                response = await self._ready()
            case _:
                text = await asyncio.to_thread(lambda: metrics_text([*self._parts.samples(), *self._parts.figures.samples()]))
                response = Response(text, media_type=_TEXT)
        await response(scope, receive, send)

    async def _ready(self) -> Response:
        """200 when every check says yes in time, else 503 with the names of those that do not."""
        names = list(self._parts.checks)
        results = await asyncio.gather(*[self._passes(name, self._parts.checks[name]) for name in names])
        found = dict(zip(names, results, strict=True))
        return Response(orjson.dumps({"ready": all(results), "checks": found}), 200 if all(results) else 503, media_type="application/json")

    async def _passes(self, name: str, check: Callable[[], bool]) -> bool:
        try:
            return await asyncio.wait_for(asyncio.to_thread(check), self._timeout)
        except Exception as error:  # a part that fails its check in whatever way is not ready
            log.warning("check_failed", reason=name, error_type=type(error).__name__)
            return False


def metrics_text(samples: Iterable[Sample]) -> str:
    """The figures in the Prometheus text format (0.0.4), grouped by name as it asks."""
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.name, []).append(sample)
    return "".join(_group(name, groups[name]) for name in sorted(groups))


def _group(name: str, samples: list[Sample]) -> str:
    words = samples[0].help.replace("\\", "\\\\").replace("\n", "\\n")
    figures = [f"{name}{_labels(sample.labels)} {_number(sample.value)}" for sample in samples]
    return "\n".join([f"# HELP {name} {words}", f"# TYPE {name} {samples[0].kind}", *figures]) + "\n"


def _labels(labels: Mapping[str, str]) -> str:
    def escaped(value: str) -> str:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    return "{" + ",".join(f'{name}="{escaped(value)}"' for name, value in labels.items()) + "}" if labels else ""


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
