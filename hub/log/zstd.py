"""Compression for records: a compressor may not be used by two threads at once, so each thread has its own."""

from __future__ import annotations

import threading
from typing import Final

import zstandard

LEVEL: Final = 3
"""Level 9 costs six times as much for seven per cent less."""


class _Zstd(threading.local):
    """The compressor and decompressor of this thread."""

    def __init__(self) -> None:
        self.compress = zstandard.ZstdCompressor(level=LEVEL)
        self.quick = zstandard.ZstdCompressor(level=1)  # for views, which are written again and again
        self.expand = zstandard.ZstdDecompressor()


ZSTD: Final = _Zstd()
