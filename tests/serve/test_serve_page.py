"""The page in a browser: by keyboard, in both schemes, and without the internet."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from served import collection, listening

from cenote.collection import open_collection
from cenote.serve import Service, application

pytest.importorskip("fastapi")
pytest.importorskip("wordllama")
playwright = pytest.importorskip("playwright.sync_api", reason="the page is tested where playwright is installed")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="the page is tested where Debian's chromium is installed")

TRAP = "<img src=x onerror=\"document.title='caught'\"><script>document.title='caught'</script> a trap for pages"


@contextmanager
def opened(place: Path, **gate: Any) -> Iterator[str]:
    """Serve a collection on a port of this machine; yield the address."""
    with Service(place) as service:
        service.warm()
        with listening(application(service, **gate)) as address:
            yield address


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = collection(tmp_path_factory.mktemp("served"))
    with open_collection(place) as held:
        rows = [
            {"id": "trap", "text": TRAP, "title": "<b>bold</b>", "open": True, "tags": ["it's", "100%"]},
            {"id": "long", "text": "a glacier and 𝒎any more " * 200, "open": False, "tags": ["b"]},
        ]
        held.add(rows)
    return place


@pytest.fixture(scope="module")
def address(place: Path) -> Iterator[str]:
    with opened(place) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as tools:
        found = tools.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """The page, opened; nothing it does may fail, or be asked of another machine."""
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(5_000)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda asked: None if asked.url.startswith((address, "data:")) else faults.append(asked.url))
    page.on("console", lambda said: faults.append(said.text) if "Content Security" in said.text else None)
    page.goto(address)
    page.wait_for_selector("#collection code")
    yield page
    context.close()
    assert faults == []


def _ids(page: Any) -> list[str]:
    playwright.expect(page.get_by_role("status")).to_have_text(re.compile(r"in \d+ ms"))
    return [title.replace("<b>bold</b>", "trap") for title in page.locator("h2").all_inner_texts()]


def _ask(page: Any, query: str) -> None:
    page.get_by_role("searchbox", name="Question").fill(query)
    page.keyboard.press("Enter")


def test_what_is_served_is_shown(page: Any) -> None:
    assert page.get_by_role("heading", level=1).inner_text() == "cenote docs.cenote"
    said = page.inner_text("#collection")
    assert said.startswith("wordllama | float8 | flat · 7 documents, 7 passages · index ")
    assert "bytes a document" in said


def test_hits_show_passage_and_place_and_what_carried_them(page: Any) -> None:
    _ask(page, "gzip")
    page.wait_for_selector("mark")
    first = page.get_by_role("listitem").first
    assert first.get_by_role("heading").inner_text() == "gzip.txt"
    assert first.locator(".passage").inner_text() == "Compress and decompress data with gzip."
    shares = {
        mark.inner_text(): float(mark.evaluate("mark => mark.style.getPropertyValue('--share')"))
        for mark in first.locator("mark").all()
    }
    assert shares["gzip"] == max(shares.values()) == 1
    assert first.locator(".why").inner_text().startswith("Carried by gzip ")
    assert first.locator("mark", has_text="gzip").evaluate("mark => getComputedStyle(mark).backgroundColor") != ""


def test_the_keyboard_is_enough(page: Any) -> None:
    assert page.evaluate("document.activeElement.id") == "query"
    page.keyboard.type("compress with gzip")
    page.keyboard.press("Enter")
    page.wait_for_selector("mark")
    focused = "document.activeElement.querySelector('h2')?.textContent ?? document.activeElement.id"
    titles = page.locator("h2").all_inner_texts()
    for title in titles[:2]:
        page.keyboard.press("ArrowDown")
        assert page.evaluate(focused) == title
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert page.evaluate(focused) == "query"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("/")
    assert page.evaluate(focused) == "query"
    seen = []
    for _ in range(4):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.textContent.trim() || document.activeElement.id"))
    assert seen[:2] == ["Search", "Filters"]
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"


def test_every_field_has_a_name_for_those_who_hear_it(page: Any) -> None:
    page.get_by_text("Filters").click()
    for role in ("textbox", "combobox", "searchbox", "button"):
        for field in page.get_by_role(role).all():
            name = field.evaluate(
                "f => f.getAttribute('aria-label') || f.labels?.[0]?.textContent.trim() || f.textContent.trim()"
            )
            assert name, field.evaluate("f => f.outerHTML")
    assert page.get_by_role("status").count() == 1
    assert page.get_by_role("alert").count() == 1
    assert page.get_by_role("search").count() == 1
    assert page.get_by_role("textbox", name="year from").count() == 1


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("year from", "2000", {"mail.txt", "notes/csv.txt"}),
        ("year to", "1990", {"dates.md"}),
        ("kind", "TXT", {"gzip.txt", "mail.txt", "notes/csv.txt"}),
        ("title", "<B>", {"trap"}),
        ("title", "%", set()),
        ("tags", "it's", {"trap"}),
        ("Condition in SQL", "year = 1995 or id = 'zones'", {"gzip.txt", "zones"}),
    ],
)
def test_filters_keep_what_they_say(page: Any, field: str, value: str, expected: set[str]) -> None:
    page.get_by_text("Filters").click()
    page.get_by_role("textbox", name=field, exact=True).fill(value)
    _ask(page, "anything")
    assert set(_ids(page)) == expected
    assert page.inner_text("#active").strip() == "(1)"
    page.get_by_role("button", name="Clear").click()
    playwright.expect(page.get_by_role("article")).to_have_count(7)


def test_a_choice_filters_at_once(page: Any) -> None:
    _ask(page, "anything")
    page.wait_for_selector("article")
    page.get_by_text("Filters").click()
    page.get_by_role("combobox", name="open").select_option("no")
    playwright.expect(page.get_by_role("article")).to_have_count(1)
    assert _ids(page) == ["long"]


def test_what_a_document_holds_is_text(page: Any) -> None:
    _ask(page, "a trap for pages")
    page.wait_for_selector("mark")
    first = page.get_by_role("listitem").first
    assert first.locator(".passage").inner_text() == TRAP
    assert first.get_by_role("heading").inner_text() == "<b>bold</b>"
    assert page.locator("article img, article script, article h2 b").count() == 0
    assert "caught" not in page.title()


def test_long_passages_are_shown_whole_when_asked(page: Any) -> None:
    _ask(page, "glacier")
    page.wait_for_selector("mark")
    first = page.get_by_role("listitem").first
    assert len(first.locator(".passage").inner_text()) < 2000
    assert set(first.locator("mark").all_inner_texts()) >= {"glacier"}
    first.get_by_role("button", name="Show all of it").click()
    assert first.locator(".passage").inner_text().strip() == ("a glacier and 𝒎any more " * 200).strip()


def test_a_refusal_is_said_and_goes_away(page: Any) -> None:
    page.get_by_text("Filters").click()
    page.get_by_role("textbox", name="Condition in SQL").fill("nothing = 1")
    _ask(page, "anything")
    playwright.expect(page.get_by_role("alert")).to_contain_text("nothing")
    page.get_by_role("textbox", name="Condition in SQL").fill("")
    _ask(page, "anything")
    assert len(_ids(page)) == 7
    assert page.inner_text("#error") == ""


def test_a_search_can_be_passed_on_as_an_address(page: Any) -> None:
    _ask(page, "compress with gzip")
    first = _ids(page)
    assert "?q=compress+with+gzip" in page.url
    page.reload()
    assert _ids(page) == first
    assert page.get_by_role("searchbox").input_value() == "compress with gzip"


def test_the_token_is_asked_for_once(browser: Any, place: Path) -> None:
    with opened(place, token="a-secret-word") as address:
        context = browser.new_context()
        page = context.new_page()
        page.goto(address)
        page.get_by_label("This server asks for a token").fill("wrong")
        page.keyboard.press("Enter")
        playwright.expect(page.get_by_role("alert")).to_contain_text("not the right one")
        page.get_by_label("This server asks for a token").fill("a-secret-word")
        page.keyboard.press("Enter")
        page.wait_for_selector("#collection code")
        assert not page.get_by_label("This server asks for a token").is_visible()
        page.reload()
        _ask(page, "gzip")
        assert _ids(page)[0] == "gzip.txt"
        context.close()


CONTRAST = """() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const painted = (colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (rgb) => rgb.map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const out = {};
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !element.checkVisibility() || element.matches('option, noscript, script, .hidden, .skip')) continue;
    const behind = [];
    for (let e = element; e; e = e.parentElement) behind.unshift(getComputedStyle(e).backgroundColor);
    const ground = painted(behind), ink = painted([...behind, getComputedStyle(element).color]);
    const [a, b] = [light(ground), light(ink)].sort((x, y) => y - x);
    const name = element.tagName + '.' + element.className + '#' + element.id;
    out[name] = Math.min(out[name] ?? 99, (a + 0.05) / (b + 0.05));
  }
  return out;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read_in_both_schemes(browser: Any, address: str, scheme: str) -> None:
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    page.goto(address)
    _ask(page, "compress with gzip")
    page.wait_for_selector("mark")
    page.get_by_text("Filters").click()
    ratios = page.evaluate(CONTRAST)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    context.close()
    assert len(ratios) > 15
    assert {name: ratio for name, ratio in ratios.items() if ratio < 4.5} == {}
    assert (sum(map(int, ground[4:-1].split(","))) > 382) == (scheme == "light")


def test_a_phone_needs_no_scrolling_sideways(browser: Any, address: str) -> None:
    context = browser.new_context(viewport={"width": 320, "height": 640})
    page = context.new_page()
    page.goto(address)
    _ask(page, "a trap for pages")
    page.wait_for_selector("mark")
    page.get_by_text("Filters").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    context.close()
