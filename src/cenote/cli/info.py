"""cenote info: what a collection is, and whether it is whole."""

from __future__ import annotations

from typing import Annotated

import typer

from cenote.cli.arguments import AsJson, Directory
from cenote.cli.terminal import TERMINAL, plural, result, result_json, size


def info(
    directory: Directory,
    verify: Annotated[bool, typer.Option("--verify", help="Compare every byte with its hash.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print recipe, counts, bytes by part, versions of a collection, and what --where may name."""
    import cenote
    from cenote.collection import open_collection
    from cenote.kernels.machine import described

    with open_collection(directory) as opened:
        if verify:
            opened.verify()
            TERMINAL.message("every byte of every file is as it was written")
        found = opened.info().to_dict() | {"cenote": cenote.__version__, "kernels": described()}
    if as_json:
        result_json(found)
        return
    result(f'recipe   "{found["recipe"]}"')
    for encoder in found["encoders"]:
        weights = f" ({encoder['dtype']}, sha256 {encoder['sha256'][:12]}…)" if encoder["sha256"] else ""
        result(f"encoder  {encoder['reference']['model']}{weights}")
    result(f"version  {found['version']} of the collection begun {found['created']}")
    result(f"cenote   {found['cenote']}; {', '.join(f'{name} {value}' for name, value in found['kernels'].items())}")
    named = ", ".join(f"{name} ({kind})" for name, kind in found["attributes"].items())
    result(f"where    id, source, text{f', {named}' if named else ''}")
    if found["cut_tokens"]:
        result(f"cut      {found['cut_tokens']:,} tokens of {plural(found['cut_texts'], 'text')}, not indexed")
    result("")
    counts = ("documents", "passages", "segments", "dead_documents", "dim")
    rows = [(name.replace("_", " "), f"{found[name]:,}") for name in counts]
    rows += [(f"bytes: {name}", size(count)) for name, count in found["bytes"].items()]
    for name in ("bytes_per_document", "first_pass_bytes_per_document", "disk_bytes_per_document"):
        rows.append((name.replace("_", " "), f"{found[name]:,.1f}"))
    name_width, value_width = (max(len(row[n]) for row in rows) for n in (0, 1))
    for name, value in rows:
        result(f"{name:{name_width}}  {value:>{value_width}}")
