"""Encodings: vectors kept on disk, so that index, compare and reindex compute a text once.

One sqlite file a key; the key hashes everything that decides a vector beside the text (weights, type, window, prompt,
pooling). A row is the hash of a text, its vector in fp32, its tokens, and the seconds it cost when it was computed, so
that what a text lost to the model's window is reported whenever it is used. Several
processes may share the folder. The cache is never the truth: one that is broken, full or locked costs time only.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, suppress
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from cenote import registry
from cenote.arrays import Float32

if TYPE_CHECKING:
    from cenote.encode.encoder import Encoder, Pool
    from cenote.encode.routes import Role

FORMAT = 3
"""Raised whenever the same key would give other vectors."""
_STEP = 512
"""Texts that are computed between two writes: what an interruption can lose."""
_ASKED = 500
"""Hashes asked for in one statement: below the number of variables every sqlite takes."""
_MOST = 8 * 2**30

Row: TypeAlias = tuple[bytes, float, int]
"""(vector, seconds, tokens)."""
Known: TypeAlias = dict[bytes, Row]


class Encodings:
    """A folder of vectors.

    folder: where; the default is `CENOTE_CACHE`, else the user's cache folder; "off" (or an empty `CENOTE_CACHE`) keeps
    nothing. max_bytes: above it the keys used longest ago are deleted; the default is `CENOTE_CACHE_BYTES`, else 8 GiB.
    """

    def __init__(self, folder: str | Path | None = None, max_bytes: int | None = None) -> None:
        named = os.environ.get("CENOTE_CACHE") if folder is None else str(folder)
        if named is None:
            from platformdirs import user_cache_dir

            named = str(Path(user_cache_dir("cenote", appauthor=False)) / "encodings")
        self.folder = None if named in ("", "off") else Path(named)
        self.max_bytes = int(os.environ.get("CENOTE_CACHE_BYTES", _MOST)) if max_bytes is None else max_bytes

    def encode(
        self,
        encoder: Encoder,
        pools: Sequence[Pool],
        texts: Sequence[str],
        role: Role,
        progress: Callable[[int], None] | None = None,
    ) -> tuple[list[Float32], float]:
        """Return one float32 (n, d) a pool, and the seconds these texts cost when they were first encoded.

        What is not kept yet is computed for all pools in one pass and kept. Raises what the encoder raises.
        """
        hashes = [blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() for text in texts]
        stores = [self._store(encoder, pool, role) for pool in pools]
        known = [_read(store, hashes, encoder.width(pool)) for store, pool in zip(stores, pools, strict=True)]
        missing = {h: text for h, text in zip(hashes, texts, strict=True) if any(h not in kept for kept in known)}
        if progress is not None and len(missing) < len(texts):
            progress(sum(h not in missing for h in hashes))
        repeats = Counter(h for h in hashes if h in missing)
        for part in _parts(list(missing), _STEP):
            some = [missing[h] for h in part]
            began = time.perf_counter()
            found = encoder.encode(some, role, pool=list(pools), progress=progress)
            seconds = (time.perf_counter() - began) / len(part)
            tokens = encoder.lengths(some, role).tolist()
            for kept, store, vectors in zip(known, stores, found, strict=True):
                new = {h: (row.tobytes(), seconds, n) for h, row, n in zip(part, vectors, tokens, strict=True)}
                _write(store, new)
                kept.update(new)
            if progress is not None:
                progress(sum(repeats[h] - 1 for h in part))  # once they were told of as they were encoded
        if missing:
            self._shrink(stores)
        if pools:
            _report(encoder, role, known[0], Counter(hashes), missing)
        arrays = [_gather(kept, hashes, encoder.width(pool)) for kept, pool in zip(known, pools, strict=True)]
        return arrays, sum(known[0][h][1] for h in set(hashes)) if pools else 0.0

    def _store(self, encoder: Encoder, pool: Pool, role: Role) -> Path | None:
        if self.folder is None:
            return None
        key = {"format": FORMAT, "pool": _written(pool), **encoder.fingerprint(role)}
        name = blake2b(json.dumps(key, sort_keys=True).encode(), digest_size=16).hexdigest()
        return self.folder / f"{name}.sqlite"

    def _shrink(self, in_use: list[Path | None]) -> None:
        """Delete the stores used longest ago until the folder is small enough; never those in use."""
        if self.folder is None:
            return
        with suppress(OSError):
            found = sorted(self.folder.glob("*.sqlite"), key=lambda path: path.stat().st_mtime)
            total = sum(path.stat().st_size for path in found)
            for path in found:
                if total <= self.max_bytes:
                    return
                if path not in in_use:
                    total -= path.stat().st_size
                    _remove(path)


def _written(pool: Pool) -> Any:
    """What tells a pooling from others: its word, or its configuration and its weights."""
    if pool is None or isinstance(pool, str):
        return pool
    weights = blake2b(digest_size=16)
    for name, array in sorted(pool.state_dict().items()):
        weights.update(name.encode() + array.detach().cpu().float().numpy().tobytes())
    return registry.config(pool) | {"weights": weights.hexdigest()}


def _report(encoder: Encoder, role: Role, kept: Known, hashes: Counter[bytes], missing: Collection[bytes]) -> None:
    """Count what the encoder did not see: texts that were kept, and repeats of those that were not."""
    window, overhead = encoder.max_length, encoder.overhead(role)
    for h, times in hashes.items():
        tokens = kept[h][2]
        cut = 0 if window is None else max(0, tokens - window)
        if cut and encoder.overflow == "error":
            reason = f"a text is {cut} tokens longer than the window of {window}"
            raise ValueError(f"{reason}; cut it into passages, or use overflow=report")
        encoder.report.count(tokens - cut, cut, times - (h in missing), overhead=overhead)


def _gather(kept: Known, hashes: list[bytes], width: int) -> Float32:
    if not hashes:
        return np.zeros((0, width), np.float32)
    return np.frombuffer(b"".join(kept[h][0] for h in hashes), "<f4").reshape(len(hashes), width).astype(np.float32)


def _parts(items: list[Any], size: int) -> Iterator[list[Any]]:
    return (items[i : i + size] for i in range(0, len(items), size))


def _connect(store: Path) -> sqlite3.Connection:
    db = sqlite3.connect(store, timeout=10, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    # a power cut may lose what was written last, never make wrong what is there
    db.execute("PRAGMA synchronous=NORMAL")
    columns = "text BLOB PRIMARY KEY, vector BLOB, seconds REAL, tokens INTEGER"
    db.execute(f"CREATE TABLE IF NOT EXISTS rows ({columns}) WITHOUT ROWID")
    return db


def _read(store: Path | None, hashes: list[bytes], width: int) -> Known:
    found: Known = {}
    if store is None or not store.exists():
        return found
    try:
        os.utime(store)
        with closing(_connect(store)) as db:
            for part in _parts(list(dict.fromkeys(hashes)), _ASKED):
                marks = ",".join("?" * len(part))
                rows = db.execute(f"SELECT text, vector, seconds, tokens FROM rows WHERE text IN ({marks})", part)
                found.update({text: (v, seconds, n) for text, v, seconds, n in rows if len(v) == 4 * width})
    except (sqlite3.Error, OSError) as error:
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
            _remove(store)  # it is broken, and would never be filled again
        return {}
    return found


def _remove(store: Path) -> None:
    with suppress(OSError):
        for file in (store, store.with_name(f"{store.name}-wal"), store.with_name(f"{store.name}-shm")):
            file.unlink(missing_ok=True)


def _write(store: Path | None, rows: Known) -> None:
    if store is None:
        return
    with suppress(sqlite3.Error, OSError):
        store.parent.mkdir(parents=True, exist_ok=True)
        with closing(_connect(store)) as db:
            db.execute("BEGIN IMMEDIATE")
            db.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?)", [(h, *row) for h, row in rows.items()])
            db.execute("COMMIT")
