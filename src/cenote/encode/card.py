"""The card of a saved model: what it is, what it was made of, and how to use it, as hubs of models read it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from cenote.encode.encoder import Encoder

_FENCE = "---"


def card(encoder: Encoder, folder: Path, told: Mapping[str, str]) -> str:
    """Return README.md of `folder`, where the model was written.

    told: lines to show, by name, such as the recipe and what it was trained on.
    """
    base = front_matter(encoder.parts.folder / "README.md")
    named = encoder.name if "/" in encoder.name and not Path(encoder.name).exists() else base.get("base_model")
    head: dict[str, Any] = {
        "library_name": "sentence-transformers",
        "pipeline_tag": "sentence-similarity",
        "tags": ["sentence-transformers", "sentence-similarity", "feature-extraction", "cenote"],
    }
    head |= {"base_model": named} if named else {}
    head |= {key: base[key] for key in ("license", "language") if key in base}
    lists = [folder / "modules.json", *folder.rglob("router_config.json")]
    own = any("cenote." in path.read_text(encoding="utf-8") for path in lists)
    size = sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
    rows = {
        "base": f"`{named or encoder.name}`",
        **told,
        "similarity": encoder.similarity,
        "tokens read at most": f"{encoder.max_length:,}" if encoder.max_length else "all",
        "weights": f"{size:,} bytes (safetensors)",
        "base's sha256": f"`{encoder.sha256}`",
        "licence": f"`{head['license']}`, as the base says" if "license" in head else "the base does not say",
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    trust = ", trust_remote_code=True)  # and cenote installed, whose pooling it has" if own else ")"
    return f"""{_FENCE}
{yaml.safe_dump(head, sort_keys=False, allow_unicode=True).strip()}
{_FENCE}

# A sentence encoder

One vector a text, for search, likeness and clustering.

| | |
|---|---|
{table}

```python
from sentence_transformers import SentenceTransformer

SentenceTransformer("this folder"{trust}
```

```python
import cenote

cenote.Encoder("this folder").encode(["a text"])
```
"""


def front_matter(path: Path) -> dict[str, Any]:
    """Return what a card says in its head; nothing where there is none, or it cannot be read."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    _, found, rest = (*text.split(_FENCE, 2), "", "", "")[:3]
    if not text.startswith(_FENCE) or not rest:
        return {}
    try:
        head = yaml.safe_load(found)
    except yaml.YAMLError:
        return {}
    return head if isinstance(head, dict) else {}
