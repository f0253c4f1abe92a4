"""PDFs: the text page by page; scans, blank pages, locked files and what is no PDF are told apart.

The files are written here by hand, object by object, so that each holds exactly what its test is about.
"""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cenote.data import Document, Skipped, read
from cenote.data.base import page_at
from cenote.data.pdf import parse
from cenote.errors import Unreadable

PICTURE = b"q 200 0 0 200 100 400 cm /Im0 Do Q"
BLANK = b""


def words(text: str) -> bytes:
    """What draws some lines of text on a page."""
    lines = "".join(f"({line}) Tj 0 -24 Td " for line in text.split("\n"))
    return f"BT /F0 18 Tf 72 700 Td {lines}ET".encode("ascii")


def pdf(*pages: bytes, locked: bool = False) -> bytes:
    """A PDF of pages that draw these things."""
    numbers = [6 + 2 * i for i in range(len(pages))]
    kids = " ".join(f"{n} 0 R" for n in numbers)
    bodies = {
        1: b"<< /Type /Catalog /Pages 2 0 R >>",
        2: f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        3: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        4: b"<< /Type /XObject /Subtype /Image /Width 1 /Height 1 /ColorSpace /DeviceGray /BitsPerComponent 8 "
        b"/Length 1 >>\nstream\nZ\nendstream",
        # a password that is not the empty one: no key fits
        5: b"<< /Filter /Standard /V 1 /R 2 /P -4 /O <" + b"41" * 32 + b"> /U <" + b"42" * 32 + b"> >>",
    }
    for number, drawn in zip(numbers, pages, strict=True):
        bodies[number] = (
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {number + 1} 0 R "
            "/Resources << /Font << /F0 3 0 R >> /XObject << /Im0 4 0 R >> >> >>"
        ).encode()
        bodies[number + 1] = b"<< /Length %d >>\nstream\n%b\nendstream" % (len(drawn), drawn)
    written, places = b"%PDF-1.4\n", []
    for number in range(1, max(bodies) + 1):
        places.append(len(written))
        written += b"%d 0 obj\n%b\nendobj\n" % (number, bodies[number])
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    encrypted = b" /Encrypt 5 0 R /ID [<41> <41>]" if locked else b""
    return (
        written
        + b"xref\n0 %d\n0000000000 65535 f \n%btrailer\n<< /Size %d /Root 1 0 R%b >>\nstartxref\n%d\n%%%%EOF"
        % (
            len(places) + 1,
            table,
            len(places) + 1,
            encrypted,
            len(written),
        )
    )


def skipped(path: Path) -> Skipped:
    (found,) = read(path)
    assert isinstance(found, Skipped), found
    return found


def test_the_text_of_a_pdf_comes_page_by_page(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf(words("First page\nof two."), words("Second page.")))
    (document,) = read(tmp_path)
    assert isinstance(document, Document)
    assert document.text.split() == ["First", "page", "of", "two.", "Second", "page."]
    assert (document.id, document.source) == ("a.pdf", str(tmp_path / "a.pdf"))


@given(
    st.lists(st.one_of(st.just(""), st.from_regex(r"[A-Z][a-z]{2,9}( [a-z]{2,9}){0,4}", fullmatch=True)), max_size=6)
)
def test_every_page_begins_where_it_says_and_counts_from_one(texts: list[str]) -> None:
    if not any(texts):
        with pytest.raises(Unreadable):
            parse(pdf(*map(words, texts)), "a.pdf")
        return
    parsed = parse(pdf(*map(words, texts)), "a.pdf")
    assert [number for _, number in parsed.pages] == list(range(1, len(texts) + 1))
    assert [first for first, _ in parsed.pages] == sorted(first for first, _ in parsed.pages)
    assert all(parsed.text[first:].startswith(text) for (first, _), text in zip(parsed.pages, texts, strict=True))


def test_a_character_knows_its_page() -> None:
    parsed = parse(pdf(words("alpha"), BLANK, words("gamma")), "a.pdf")
    document = Document("a", parsed.text, pages=parsed.pages)
    assert page_at(document, parsed.text.index("alpha")) == 1
    assert page_at(document, parsed.text.index("gamma")) == 3


def test_pages_that_are_pictures_are_a_scan(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf(PICTURE, BLANK))
    found = skipped(tmp_path / "a.pdf")
    assert found.kind == "scanned"
    assert "text recognition" in found.reason


def test_a_picture_beside_text_is_no_scan() -> None:
    assert parse(pdf(PICTURE, words("A caption.")), "a.pdf").text.strip() == "A caption."


@pytest.mark.parametrize("pages", [(BLANK,), (BLANK, b"0 0 m 9 9 l S")])
def test_pages_without_anything_to_read_are_empty(tmp_path: Path, pages: tuple[bytes, ...]) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf(*pages))
    assert skipped(tmp_path / "a.pdf").kind == "empty"


def test_a_pdf_of_no_bytes_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").touch()
    assert skipped(tmp_path / "a.pdf").kind == "empty"


def test_a_pdf_without_pages_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf())
    assert skipped(tmp_path / "a.pdf").kind in ("empty", "unreadable")


def test_a_pdf_that_another_program_wrote_is_read(tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure()
    figure.text(0.1, 0.5, "Drawn by matplotlib")
    figure.savefig(tmp_path / "a.pdf")
    (document,) = read(tmp_path)
    assert isinstance(document, Document)
    assert (document.text, document.pages) == ("Drawn by matplotlib", ((0, 1),))


def test_a_locked_pdf_says_that_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf(words("secret"), locked=True))
    found = skipped(tmp_path / "a.pdf")
    assert found.kind == "locked"
    assert "password" in found.reason


@pytest.mark.parametrize("content", [b"no pdf", b"%PDF-1.7\n", b"\0" * 5000])
def test_a_pdf_that_is_none_is_skipped_and_the_rest_is_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pdf").write_bytes(content)
    (tmp_path / "b.pdf").write_bytes(pdf(words("whole")))
    bad, good = read(tmp_path)
    assert isinstance(bad, Skipped)
    assert (bad.kind, bad.source) == ("unreadable", str(tmp_path / "a.pdf"))
    assert isinstance(good, Document)


@given(st.data())
def test_a_pdf_cut_anywhere_is_read_or_said_to_be_broken(data: st.DataObject) -> None:
    whole = pdf(words("First"), words("Second"))
    cut = whole[: data.draw(st.integers(0, len(whole)))]
    try:
        assert isinstance(parse(cut, "a.pdf").text, str)
    except Unreadable as error:
        assert error.kind in ("unreadable", "empty", "scanned")
