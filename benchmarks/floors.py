"""Where a process spends its time: the floor of the library that each of its threads is in, asked every 5 ms."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from types import FrameType, TracebackType

WORK = {
    "data": "reading",
    "encode": "encoding",
    "pool": "encoding",
    "compress": "compressing",
    "collection": "storing",
    "index": "searching",
}
_WAITING = ("/threading.py", "/queue.py", "/selectors.py", "/connection.py", "/futures/thread.py", "/futures/_base.py")


class Floors:
    """`with Floors() as floors: …`; then floors.seconds is {kind of work: seconds, of all threads together}.

    A kernel counts for the floor that called it, and a thread that waits for another for none.
    """

    def __init__(self, every: float = 0.005) -> None:
        self.seconds: Counter[str] = Counter()
        self._every, self._ended = every, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Floors:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        last = time.perf_counter()
        while not self._ended.wait(self._every):
            now = time.perf_counter()
            for number, frame in sys._current_frames().items():
                if number != self._thread.ident and (work := _work(frame)):
                    self.seconds[work] += now - last
            last = now


def _work(frame: FrameType | None) -> str | None:
    """Return the work of the innermost floor of a stack."""
    if frame is None or frame.f_code.co_filename.endswith(_WAITING):
        return None
    while frame is not None:
        floor = frame.f_code.co_filename.partition("/cenote/")[2].partition("/")[0]
        if floor in WORK:
            return WORK[floor]
        frame = frame.f_back
    return None
