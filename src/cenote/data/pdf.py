"""PDF: the text of every page, and where each page begins."""

from __future__ import annotations

from typing import Any

from cenote.data.parsed import Parsed
from cenote.errors import Unreadable

_BETWEEN = "\n\n"


def parse(content: bytes, name: str) -> Parsed:
    """Read a PDF.

    Raises Unreadable of kind "scanned" where the pages hold pictures and no text, "empty" where they hold nothing.
    """
    import pypdfium2 as pdfium

    if not content:
        raise Unreadable("it holds no text", "empty")
    try:
        document = pdfium.PdfDocument(content)
    except pdfium.PdfiumError as error:
        locked = "password" in str(error).lower()
        reason = "it is locked with a password; unlock it first" if locked else "it is no PDF that can be opened"
        raise Unreadable(reason, "locked" if locked else "unreadable") from None
    try:
        pages = [_page(document[number]) for number in range(len(document))]
        if not any(text.strip() for text in pages):
            pictures = any(_has_pictures(document[number]) for number in range(len(document)))
            if pictures:
                raise Unreadable("its pages are pictures without text; run text recognition on it first", "scanned")
            raise Unreadable("its pages hold no text", "empty")
    except pdfium.PdfiumError as error:
        raise Unreadable(f"one of its pages cannot be read: {error}") from None
    finally:
        document.close()
    starts, at = [], 0
    for number, text in enumerate(pages, 1):
        starts.append((at, number))
        at += len(text) + len(_BETWEEN)
    return Parsed(_BETWEEN.join(pages), pages=tuple(starts))


def _page(page: Any) -> str:
    text: str = page.get_textpage().get_text_range()
    # U+FFFE stands where a word was divided at the end of a line
    text = text.replace("\r\n", "\n").replace("\ufffe\n", "").replace("\ufffe", "").replace("\0", "")
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").strip()


def _has_pictures(page: Any) -> bool:
    import pypdfium2.raw as raw

    return any(found.type == raw.FPDF_PAGEOBJ_IMAGE for found in page.get_objects(max_depth=3))
