"""MLLP framing without a socket: bytes in, frames out. Every fault of the framing is a frame of its own kind, so that it can be answered.

A frame is VT, the message, FS, CR. What is kept of an unfinished frame never exceeds the limit and one read.

Source: HL7 MLLP release 1 (transport specification), block format.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

VT: Final = b"\x0b"
FS: Final = b"\x1c"
CR: Final = b"\r"

_MOST_JUNK: Final = 64 * 1024
"""Bytes without any start of a frame that are looked at before they are refused."""

_HEAD: Final = 4_096
"""Bytes of an oversized frame that are kept, to find its control id."""


class Fault(Enum):
    """What is wrong with a frame; the value is what the sender is told."""

    NONE = ""
    NO_START = "no start block (VT) before the message"
    NO_END = "the frame ended with FS, without the CR that must follow"
    CUT = "a new frame began before the last one had ended"
    TOO_LARGE = "the message is larger than the hub takes"


@dataclass(frozen=True, slots=True)
class Frame:
    """One message, or what could be read of one: with `TOO_LARGE` only its beginning."""

    body: bytes
    fault: Fault = Fault.NONE


def framed(body: bytes) -> bytes:
    """The message in its frame."""
    return VT + body + FS + CR


class Framer:
    """Collects the bytes of one connection. `feed` what came, then `take` until it gives None."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = bytearray()
        self._looked = 0
        self._dropping = False

    def feed(self, data: bytes) -> None:
        """Add what came."""
        self._held += data

    @property
    def unfinished(self) -> bytes:
        """The beginning of a frame that has not ended; empty between frames."""
        if self._dropping:
            return b"\x0b"
        return bytes(self._held[:_HEAD]).lstrip(CR + b"\n")

    def take(self) -> Frame | None:
        """The next frame, or None when more bytes are needed."""
        while True:
            if self._dropping and not self._found_again():
                return None
            end = self._held.find(FS, self._looked)
            if end < 0:
                return self._growing()
            if end + 1 == len(self._held):
                self._looked = end
                return None
            return self._frame(end, self._held[end + 1:end + 2] == CR)

    def _frame(self, end: int, whole: bool) -> Frame:
        start = self._held.find(VT, 0, end)
        if start < 0:
            frame = Frame(bytes(self._held[:end]).lstrip(CR + b"\n"), Fault.NO_START)
        else:
            again = self._held.find(VT, start + 1, end)
            if again > 0:
                frame = Frame(bytes(self._held[start + 1:again]), Fault.CUT)
                self._cut(again)
                return frame
            frame = self._sized(start, end, whole)
        self._cut(end + 1 + whole)
        return frame

    def _sized(self, start: int, end: int, whole: bool) -> Frame:
        if end - start - 1 > self._most:
            return Frame(bytes(self._held[start + 1:start + 1 + _HEAD]), Fault.TOO_LARGE)
        return Frame(bytes(self._held[start + 1:end]), Fault.NONE if whole else Fault.NO_END)

    def _growing(self) -> Frame | None:
        """No end in sight: let go of junk, and of a frame that grew past the limit."""
        start = self._held.find(VT)
        if start > 0 or (start < 0 and not self._held.strip(CR + b"\n")):
            # Junk before a start block is dropped; it was no message.
            self._cut(start if start > 0 else len(self._held))
            start = 0 if start > 0 else -1
        self._looked = len(self._held)
        if start >= 0 and len(self._held) - 1 > self._most:
            return self._give_up(Frame(bytes(self._held[1:1 + _HEAD]), Fault.TOO_LARGE))
        if start < 0 and len(self._held) > _MOST_JUNK:
            return self._give_up(Frame(bytes(self._held[:_HEAD]), Fault.NO_START))
        return None

    def _found_again(self) -> bool:
        """After something that was given up: drop all before the next start block, or through the end block, whichever comes first."""
        start, end = self._held.find(VT), self._held.find(FS)
        if start < 0 and end < 0:
            self._cut(len(self._held))
            return False
        self._cut(start if start >= 0 and (end < 0 or start < end) else end + 1)
        self._dropping = False
        return True

    def _give_up(self, frame: Frame) -> Frame:
        self._cut(len(self._held))
        self._dropping = True
        return frame

    def _cut(self, length: int) -> None:
        del self._held[:length]
        self._looked = 0
