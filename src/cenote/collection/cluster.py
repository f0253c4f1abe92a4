"""A Ray cluster builds the segments of a collection: each is encoded by one task, wherever a core is free.

    seg (documents only) --task--> seg          this process fits the stages, and names in manifests what is done

A task is what `encoding.encoded` does in one process, and writes into the same folder, which must be storage that all
machines share. Tasks of a machine that is lost run again on another; as a segment is named after what it is made of,
nothing is there twice. Ray is imported when it is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from cenote.collection.encoding import Encoded, Encoders, Told, Waiting, encoded
from cenote.errors import CenoteError
from cenote.recipe import Chain

if TYPE_CHECKING:
    from cenote.encode.cache import Encodings

_RETRIES = 3
"""How often a task may be lost with its process or machine."""
_Cache: TypeAlias = tuple[str, int] | None


def installed() -> None:
    """Raise ValueError, saying what to install, where the extra is missing."""
    if find_spec("ray") is None:
        raise ValueError('a cluster needs ray; install it with: pip install "cenote[cluster]"')


@contextmanager
def joined(address: str | None) -> Iterator[None]:
    """Be part of a cluster; None does nothing, and a process that is part of one already stays so.

    address: `host:port`; "auto" for the cluster that `RAY_ADDRESS` names or this machine belongs to; "local" for one of
    this machine's cores alone, which ends here. Raises ValueError where Ray is not installed or nobody answers.
    """
    if address is None:
        yield
        return
    installed()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a cluster that is begun here tells nobody
    import ray

    if ray.is_initialized():
        yield
        return
    begun = {"include_dashboard": False, "_node_ip_address": "127.0.0.1"} if address == "local" else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level="error", **begun)
    except (ConnectionError, ValueError) as error:
        hint = "start one with `ray start --head`, or say local to use this machine's cores"
        raise ValueError(f"no Ray cluster answers at {address!r} ({str(error).splitlines()[0]}); {hint}") from None
    try:
        yield
    finally:
        ray.shutdown()


def in_tasks(device: str | None, cache: Encodings | None) -> Encoders:
    """Return who encodes segments as tasks of the cluster that this process is part of.

    device: of the encoder; one that is a GPU's asks for one GPU a task. cache: of encodings, in a folder that all
    machines share; None for each machine's own.
    """
    kept = None if cache is None else (str(cache.folder.absolute()) if cache.folder else "off", cache.max_bytes)

    def encode(waiting: Sequence[Waiting], chain: Chain, told: Told) -> Iterator[tuple[Waiting, Encoded]]:
        import ray

        gpus = 1 if device is not None and device.startswith("cuda") else 0
        task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=_RETRIES)(_encoded)
        asked = {task.remote(one, device, kept): one for one in waiting}
        pending = list(asked)
        try:
            while pending:
                [done], pending = ray.wait(pending, num_returns=1)
                one = asked.pop(done)
                found = _result(done, one)
                told(one.segment.documents)
                yield one, found
        finally:
            for left in pending:
                ray.cancel(left, force=True)

    return encode


def _result(done: object, one: Waiting) -> Encoded:
    import ray

    try:
        found: Encoded = ray.get(done)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        reason = f"segment {one.segment.name} could not be encoded, in {_RETRIES + 1} attempts"
        raise CenoteError(f"{reason}: {str(error).splitlines()[0]}; run the same command again to go on") from None
    return found


def _encoded(waiting: Waiting, device: str | None, cache: _Cache) -> Encoded:
    """Encode a segment in a task; the model is loaded once a process."""
    chain = _chain(waiting.recipe, waiting.folder / waiting.stages, device, cache)
    return encoded(waiting, chain, lambda more: None)


@lru_cache(maxsize=1)
def _chain(recipe: str, stages: Path, device: str | None, cache: _Cache) -> Chain:
    from cenote.encode.cache import Encodings

    return Chain.load(recipe, stages, device=device, cache=None if cache is None else Encodings(*cache))
