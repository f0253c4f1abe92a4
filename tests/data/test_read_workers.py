"""Files parsed by other processes: in order, within a time limit, and whatever becomes of a process."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import wait
from pathlib import Path

import pytest
from test_read_pdf import pdf, words

from cenote.data import Document, Skipped, read
from cenote.data.parallel import Workers
from cenote.data.parsed import Parsed
from cenote.errors import Unreadable

STUB = """
import json, os, signal, sys, time
for line in sys.stdin:
    path = json.loads(line)
    if "hang" in path:
        time.sleep(1000)
    elif "exit" in path:
        os._exit(3)
    elif "killed" in path:
        os.kill(os.getpid(), signal.SIGKILL)
    elif "half" in path:
        os.write(1, b'{"text": "cut')
        os._exit(0)
    elif "bad" in path:
        answer = {"reason": "it is bad", "kind": "unreadable"}
    elif "fd" in path:
        try:
            os.fstat(int(path.split()[1]))
            answer = {"reason": "inherited", "kind": "unreadable"}
        except OSError:
            answer = {"text": "closed"}
    elif "session" in path:
        answer = {"text": f"{os.getsid(0)}"}
    elif "pid" in path:
        answer = {"text": f"{os.getpid()}"}
    else:
        time.sleep(len(path) % 3 / 100)
        answer = {"text": path}
    print(json.dumps({"pages": [], "headings": [], "attributes": {}} | answer), flush=True)
"""
STUBS = (sys.executable, "-c", STUB)
LONG = 120.0


def stubs(count: int = 1, timeout: float = LONG) -> Workers:
    return Workers(count, timeout, STUBS)


def kind(workers: Workers, path: str) -> str:
    with pytest.raises(Unreadable) as caught:
        workers.parse(path).result()
    return caught.value.kind


def running(pid: int) -> bool:
    """Whether a process runs (one that ended and was not waited for does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def readers() -> set[int]:
    """The workers that are children of this process."""
    found = set()
    for place in Path("/proc").iterdir():
        if not place.name.isdigit():
            continue
        try:
            parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            command = (place / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == os.getpid() and b"cenote.data.worker" in command:
            found.add(int(place.name))
    return found


# The pool.


@pytest.mark.parametrize("count", [1, 3])
def test_every_file_gets_its_own_answer(count: int) -> None:
    paths = [f"{'x' * (i % 5)}{i}" for i in range(40)] + ["a\nb", "ü 世界", "\udcff"]
    with stubs(count) as workers:
        assert [future.result() for future in [workers.parse(path) for path in paths]] == [Parsed(p) for p in paths]


def test_a_worker_is_used_again() -> None:
    with stubs() as workers:
        assert workers.parse("pid").result() == workers.parse("pid").result()


def test_what_a_worker_refuses_is_refused_in_its_words_and_it_goes_on() -> None:
    with stubs() as workers:
        before = workers.parse("pid").result()
        with pytest.raises(Unreadable, match="it is bad"):
            workers.parse("bad").result()
        assert workers.parse("pid").result() == before


def test_a_file_over_the_limit_costs_that_file_alone() -> None:
    with stubs(timeout=1.0) as workers:
        before = int(workers.parse("pid").result().text)
        assert kind(workers, "hang") == "timeout"
        assert not running(before)
        assert workers.parse("after").result() == Parsed("after")


@pytest.mark.parametrize("path", ["exit", "killed", "half"])
def test_a_worker_that_dies_costs_its_file_alone(path: str) -> None:
    with stubs() as workers:
        futures = [workers.parse(one) for one in ("before", path, "after")]
        assert futures[0].result() == Parsed("before")
        with pytest.raises(Unreadable) as caught:
            futures[1].result()
        assert caught.value.kind == "crashed"
        assert futures[2].result() == Parsed("after")


def test_a_worker_that_was_killed_while_it_waited_costs_one_file_at_most() -> None:
    with stubs() as workers:
        os.kill(int(workers.parse("pid").result().text), signal.SIGKILL)
        wait([workers.parse("maybe")])
        assert workers.parse("after").result() == Parsed("after")


def test_a_program_that_does_not_start_crashes_every_file_and_nothing_else() -> None:
    with Workers(2, LONG, (sys.executable, "-c", "raise SystemExit(1)")) as workers:
        assert [kind(workers, "a"), kind(workers, "b")] == ["crashed", "crashed"]


def test_closing_ends_a_worker_that_hangs() -> None:
    with stubs() as workers:
        pid = int(workers.parse("pid").result().text)
        hanging, waiting = workers.parse("hang"), workers.parse("never begun")
        while not hanging.running():
            time.sleep(0.01)
    assert not running(pid)
    wait([hanging], timeout=LONG)
    assert hanging.done()
    assert waiting.cancelled()


def test_a_worker_inherits_no_open_file(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as lock:
        os.set_inheritable(lock.fileno(), True)
        with stubs() as workers:
            assert workers.parse(f"fd {lock.fileno()}").result() == Parsed("closed")


def test_an_interrupt_at_the_keyboard_does_not_reach_a_worker() -> None:
    with stubs() as workers:
        assert int(workers.parse("session").result().text) != os.getsid(0)


def test_a_worker_ends_with_the_process_that_began_it() -> None:
    program = (
        "import os, sys; from cenote.data.parallel import Workers\n"
        "workers = Workers(1, 99.0, (sys.executable, '-c', sys.argv[1]))\n"
        "print(workers.parse('pid').result().text, flush=True); os._exit(0)"
    )
    ran = subprocess.run([sys.executable, "-c", program, STUB], stdout=subprocess.PIPE, text=True, check=True)
    pid, until = int(ran.stdout), time.monotonic() + LONG
    while running(pid) and time.monotonic() < until:
        time.sleep(0.02)
    assert not running(pid)


# Reading with them.


def pages(folder: Path, count: int) -> list[str]:
    """Pages of very different sizes, in a folder."""
    names = [f"{i:03}.html" for i in range(count)]
    for i, name in enumerate(names):
        (folder / name).write_text(f"<title>{i}</title>" + f"<p>page {i}" * (1 if i % 4 else 3000))
    return names


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_the_order_is_the_same_for_any_number_of_workers(tmp_path: Path, workers: int) -> None:
    names = pages(tmp_path, 60)
    found = list(read(tmp_path, workers=workers))
    assert [(one.id, one.attributes) for one in found if isinstance(one, Document)] == [
        (name, {"title": f"{i}"}) for i, name in enumerate(names)
    ]


def test_files_parsed_here_and_elsewhere_keep_their_places(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf(words("a")))
    (tmp_path / "b.txt").write_text("b")
    (tmp_path / "c.jsonl").write_text('{"text": "c"}\n{"text": "d"}\n')
    (tmp_path / "e.html").write_text("<p>e")
    (tmp_path / "f.pdf").write_bytes(b"none")
    (tmp_path / "g.md").write_text("g")
    found = list(read(tmp_path, workers=2))
    assert [one.text if isinstance(one, Document) else one.kind for one in found] == [
        *"abcde",
        "unreadable",
        "g",
    ]


def test_a_worker_gives_what_the_parser_gives_here(tmp_path: Path) -> None:
    from cenote.data.parsing import parse

    (tmp_path / "a.pdf").write_bytes(pdf(words("First page"), words("Second page")))
    (tmp_path / "b.html").write_text("<title>T</title><h2>Über</h2><p>text")
    with Workers(1, LONG) as workers:
        for path in sorted(map(str, tmp_path.iterdir())):
            assert workers.parse(path).result() == parse(path)


def test_a_file_that_takes_too_long_is_skipped_under_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<p>a")
    (tmp_path / "b.txt").write_text("b")
    # less than a process takes to start
    late, read_here = read(tmp_path, timeout=1e-6)
    assert isinstance(late, Skipped)
    assert (late.source, late.kind) == (str(tmp_path / "a.html"), "timeout")
    assert isinstance(read_here, Document)


def test_a_file_that_goes_while_it_waits_is_skipped(tmp_path: Path) -> None:
    pages(tmp_path, 30)
    found = read(tmp_path, workers=1)
    next(found)
    (tmp_path / "029.html").unlink()
    *_, last = found
    assert isinstance(last, Skipped)
    assert last.source == str(tmp_path / "029.html")


def test_workers_end_with_the_reading(tmp_path: Path) -> None:
    pages(tmp_path, 5)
    before = readers()
    list(read(tmp_path))
    assert readers() == before


def test_workers_end_when_the_reader_stops_asking(tmp_path: Path) -> None:
    pages(tmp_path, 40)
    before = readers()
    found = read(tmp_path, workers=2)
    next(found)
    assert readers() > before
    found.close()  # type: ignore[attr-defined]
    assert readers() == before


def test_workers_end_at_a_limit(tmp_path: Path) -> None:
    pages(tmp_path, 40)
    before = readers()
    assert len(list(read(tmp_path, workers=2, limit=3))) == 3
    assert readers() == before


def test_no_process_is_begun_for_what_cannot_hang(tmp_path: Path) -> None:
    for name in ("a.txt", "b.md", "c.py", "d.csv"):
        (tmp_path / name).write_text("id,text\na,b\n")
    before = readers()
    for _ in read(tmp_path):
        assert readers() == before


def test_what_a_parser_prints_is_not_taken_for_an_answer(tmp_path: Path) -> None:
    """The real worker, with a parser that writes on stdout in the middle of its work."""
    program = (
        "import os\nfrom cenote.data import parsing, worker\nfrom cenote.data.parsed import Parsed\n"
        "def noisy(path):\n    print('noise'); os.write(1, b'more noise\\n'); return Parsed(path)\n"
        "worker.parse = noisy\nworker.main()"
    )
    with Workers(1, LONG, (sys.executable, "-c", program)) as workers:
        assert [workers.parse(path).result() for path in ("a", "b")] == [Parsed("a"), Parsed("b")]


def test_an_answer_is_one_line_whatever_the_text() -> None:
    parsed = Parsed("a\nb\r\u2028\ud800", ((0, 1),), ((2, 1, "b\n"),), {"title": "ü\n", "n": [1, None]})
    line = parsed.to_json()
    assert "\n" not in line
    assert json.loads(line.encode().decode("ascii"))["text"] == parsed.text
    assert Parsed.from_json(line) == parsed
