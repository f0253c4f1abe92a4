"""A collection served from a Ray cluster: its segments are shared out to replicas, which are asked all at once.

    query -> encoded here -> every replica, over its segments -> the best of all, here -> documents

This process answers the clients, as without a cluster, and opens the collection's folder too: it reads what is known
of all rows, conditions and documents, and leaves the scanning of codes to the replicas. Ray Serve keeps these running.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from cenote.collection.cluster import installed, joined
from cenote.collection.snapshot import Opener
from cenote.errors import CenoteError
from cenote.index import store
from cenote.index.base import Index
from cenote.index.opening import open_index
from cenote.index.sharded import Question, Share, sharded
from cenote.serve.replica import Replica

_WAIT_SECONDS = 60
"""How long a replica may be gone: Ray Serve starts another meanwhile."""
_WAITING = 64
"""Questions that may wait at a replica: those of the parts of a hybrid come at once."""


@contextmanager
def replicated(folder: str | Path, address: str, count: int | None = None) -> Iterator[Opener]:
    """Start replicas on a cluster, and yield how a collection's index is opened over them.

    address: see `collection.cluster.joined`. count: of replicas; by default one a machine. They end with the block;
    Ray Serve itself stays with the cluster. Raises ValueError where Ray is not installed, nobody answers, or the
    cluster has no core for every replica.
    """
    installed()
    place = Path(folder).absolute()
    with joined(address):
        import ray
        from ray import serve

        cores = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
        cores = [of_one for of_one in cores if of_one]
        wanted = count or len(cores)
        # the same for all, so that any replica fits on any machine that has room
        each = min(cores, default=0) // math.ceil(wanted / max(1, len(cores)))
        if not each:
            raise ValueError(f"{wanted} replicas need a core each, and the cluster has {sum(cores)}")
        logging.getLogger("ray.serve").setLevel(logging.WARNING)
        serve.start(proxy_location="Disabled")  # it would listen for clients of its own
        made = serve.deployment(Replica).options(ray_actor_options={"num_cpus": each}, max_ongoing_requests=_WAITING)
        name = f"cenote-{uuid4().hex[:8]}"
        names = [f"{name}-{n}" for n in range(wanted)]
        try:
            asks = serve.run_many([serve.RunTarget(made.bind(str(place)), name, None) for name in names])
            yield Replicas(place, asks).open
        finally:
            for name in names:
                serve.delete(name)


class Replicas:
    """Who has which segment. asks: a Ray Serve handle a replica."""

    def __init__(self, folder: Path, asks: Sequence[Any]) -> None:
        self._folder, self._asks = folder, list(asks)
        self._owners: dict[str, int] = {}

    def open(self, folders: list[Path]) -> Index:
        """Open the index folders of segments as one index, whose rows the replicas answer for."""
        sizes = [int(store.describe(folder)["rows"]) for folder in folders]
        names = [folder.absolute().relative_to(self._folder).as_posix() for folder in folders]
        self._assign(dict(zip(names, sizes, strict=True)))
        ends = np.cumsum([0, *sizes])
        opening, shares = uuid4().hex, []
        for replica in range(len(self._asks)):
            mine = [n for n, name in enumerate(names) if self._owners[name] == replica]
            if mine:
                ranges = np.array([[ends[n], ends[n + 1]] for n in mine], np.int64)
                ask = partial(self._ask, replica, opening, tuple(names[n] for n in mine))
                shares.append(Share(ranges, ask))
        return sharded(open_index(folders), shares)

    def _assign(self, sizes: dict[str, int]) -> None:
        """Give every segment to a replica: one that has it keeps it, as what it read of it lies in its memory."""
        self._owners = {name: owner for name, owner in self._owners.items() if name in sizes}
        held = [0] * len(self._asks)
        for name, owner in self._owners.items():
            held[owner] += sizes[name]
        for name in sorted(sizes.keys() - self._owners.keys(), key=lambda name: (-sizes[name], name)):
            least = held.index(min(held))
            self._owners[name] = least
            held[least] += sizes[name]

    def _ask(self, replica: int, opening: str, segments: tuple[str, ...], question: Question) -> Callable[[], Any]:
        def send() -> Any:
            return self._asks[replica].answer.remote(opening, segments, question)

        return partial(self._answer, send, send(), replica)

    def _answer(self, send: Callable[[], Any], sent: Any, replica: int) -> Any:
        """Wait for an answer; a replica that ends meanwhile is asked again once it is back."""
        import ray

        until = time.monotonic() + _WAIT_SECONDS
        while True:
            try:
                return sent.result(timeout_s=max(0.0, until - time.monotonic()))
            except ray.exceptions.RayTaskError as error:
                raise error.cause from None
            except (ray.exceptions.RayActorError, TimeoutError) as error:
                if time.monotonic() >= until:
                    which = f"replica {replica + 1} of {len(self._asks)}"
                    raise CenoteError(f"{which} does not answer within {_WAIT_SECONDS} s; try again later") from error
                sent = send()
