"""cenote mcp: one collection as tools that assistants call."""

from __future__ import annotations

from importlib.util import find_spec

from cenote.cli.arguments import Directory


def mcp(directory: Directory) -> None:
    """Let assistants search a collection: a server of the Model Context Protocol on stdin and stdout."""
    if find_spec("mcp") is None:
        raise ValueError('assistants are served by the package mcp; install it with: pip install "cenote[mcp]"')
    from cenote.integrations.mcp import server

    server(directory).run()
