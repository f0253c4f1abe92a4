"""Files parsed by worker processes, each within a time limit.

A worker that hangs is killed, one that crashes is replaced, and neither costs more than the file it had. Workers speak
JSON over pipes: nothing is unpickled, and the caller's main module is not imported again.
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock, Timer

from cenote.data.parsed import Parsed
from cenote.errors import Unreadable

COMMAND = (sys.executable, "-P", "-m", "cenote.data.worker")


class Workers:
    """At most `count` processes, started when they are needed; close it, or use it in a `with`.

    timeout: seconds a file may take. command: what a worker runs.
    """

    def __init__(self, count: int, timeout: float, command: Sequence[str] = COMMAND) -> None:
        self._timeout, self._command = timeout, tuple(command)
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="cenote-parsing")
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._all: list[_Worker] = []
        self._starting, self._closed = Lock(), False

    def parse(self, path: str) -> Future[Parsed]:
        """Parse a file some time; the result raises Unreadable, of kind "timeout" or "crashed" where that was it."""
        return self._threads.submit(self._one, path)

    def _one(self, path: str) -> Parsed:
        worker = self._free()
        try:
            return worker.ask(path, self._timeout)
        finally:
            if worker.alive:
                self._idle.put(worker)

    def _free(self) -> _Worker:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            # closing must not miss one that is just being started
            with self._starting:
                if self._closed:
                    raise Unreadable("the reading ended before it", "crashed") from None
                worker = _Worker(self._command)
                self._all.append(worker)
                return worker

    def close(self) -> None:
        """End all workers; files that wait are not parsed any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        with self._starting:
            self._closed = True
        for worker in self._all:
            worker.end()
        self._threads.shutdown(wait=True)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Worker:
    """One process; a session of its own, so that an interrupt at the keyboard reaches the caller alone."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            start_new_session=True,
        )
        self.alive = True

    def ask(self, path: str, timeout: float) -> Parsed:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        late = [False]

        def stop() -> None:
            late[0] = True
            self._process.kill()

        timer = Timer(timeout, stop)
        timer.start()
        try:
            self._process.stdin.write(json.dumps(path) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except (OSError, ValueError):
            line = ""
        finally:
            timer.cancel()
        if not line.endswith("\n"):
            self.end()
            if late[0]:
                raise Unreadable(f"reading it took longer than {timeout:g} seconds", "timeout")
            raise Unreadable("the program that read it crashed", "crashed")
        answer = json.loads(line)
        if "reason" in answer:
            raise Unreadable(answer["reason"], answer["kind"])
        return Parsed.from_json(line)

    def end(self) -> None:
        self.alive = False
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    pass  # what was still to be written has nobody to read it
