"""The header of a .npy file, of one length whatever the number of rows."""

from __future__ import annotations

_LENGTH = 128


def header(rows: int, dim: int) -> bytes:
    """Return the 128 bytes before float32 (rows, dim) in format 1.0 of numpy's files."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dim}), }}"
    body = text.ljust(_LENGTH - 11) + "\n"
    return b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body.encode("ascii")
