"""Plain text on pages of PDF, with nothing but the standard library."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

_LINES, _WIDTH = 60, 90


def pdf(pages: Sequence[str]) -> bytes:
    """A PDF with one text a page, in ASCII; lines are wrapped, and what the page cannot hold is left off."""
    numbers = [4 + 2 * i for i in range(len(pages))]
    kids = " ".join(f"{number} 0 R" for number in numbers)
    bodies = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for number, text in zip(numbers, pages, strict=True):
        drawn = _drawn(text)
        bodies += [
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {number + 1} 0 R "
            "/Resources << /Font << /F0 3 0 R >> >> >>".encode(),
            b"<< /Length %d >>\nstream\n%b\nendstream" % (len(drawn), drawn),
        ]
    written, places = b"%PDF-1.4\n", []
    for number, body in enumerate(bodies, 1):
        places.append(len(written))
        written += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = b"0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % place for place in places)
    count, start = len(places) + 1, len(written)
    end = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (count, start)
    return written + b"xref\n0 %d\n%b%b" % (count, table, end)


def _drawn(text: str) -> bytes:
    lines = [part for line in text.splitlines() for part in textwrap.wrap(line, _WIDTH) or [""]]
    escaped = (line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)") for line in lines[:_LINES])
    shown = "".join(f"({line}) Tj 0 -12 Td " for line in escaped)
    return f"BT /F0 10 Tf 36 756 Td {shown}ET".encode("ascii", "replace")
