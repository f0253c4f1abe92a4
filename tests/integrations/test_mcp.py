import asyncio
import sys
from pathlib import Path

import pytest
from things import METADATA, QUESTION, TEXTS

import cenote

pytest.importorskip("mcp")

from mcp import Client, StdioServerParameters

from cenote.cli.main import main
from cenote.integrations.mcp import server
from cenote.integrations.metadata import document

LONG = "Rain falls on the harbour. " * 2000


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    place = tmp_path_factory.mktemp("mcp") / "docs.cenote"
    documents = [document(id, text, METADATA[id]) for id, text in TEXTS.items()]
    cenote.create(place, [*documents, document("long", LONG, {})], "sentences 1 | wordllama | flat").close()
    return place


def asked(path, *calls, over=None):
    """What a client is answered, one call after another."""

    async def talk():
        async with Client(over or server(path)) as client:
            return [await client.call_tool(name, given) for name, given in calls]

    return asyncio.run(talk())


def refused(answer):
    assert answer.is_error
    return answer.content[0].text


def test_a_process_answers_over_its_own_stdin_and_stdout(path):
    code = "import sys; from cenote.cli.main import main; sys.exit(main(sys.argv[1:]))"
    environment = {"PYTHONPATH": str(Path(cenote.__file__).parents[1])}
    over = StdioServerParameters(command=sys.executable, args=["-c", code, "mcp", str(path)], env=environment)
    found, told = asked(path, ("search", {"question": QUESTION, "k": 2}), ("info", {}), over=over)
    with cenote.open(path) as opened:
        hits = opened.search(QUESTION, 2)[0]
        counts = opened.info()
    answered = found.structured_content["result"]
    assert [one["id"] for one in answered] == [hit.id for hit in hits]
    assert [one["score"] for one in answered] == pytest.approx([hit.score for hit in hits])
    assert [one["text"] for one in answered] == [hit.text for hit in hits]
    assert told.structured_content["documents"] == counts.documents == len(TEXTS) + 1
    assert told.structured_content["attributes"] == counts.attributes


def test_the_tools_say_what_they_take(path):
    async def listed():
        async with Client(server(path)) as client:
            return (await client.list_tools()).tools

    tools = {tool.name: tool for tool in asyncio.run(listed())}
    assert server(path).version == cenote.__version__
    assert set(tools) == {"search", "get", "info"}
    assert all(len(tool.description) > 20 for tool in tools.values())
    assert set(tools["search"].input_schema["properties"]) == {"question", "k", "where", "passages"}
    assert tools["search"].input_schema["required"] == ["question"]


def test_conditions_choose_and_attributes_are_told(path):
    [found] = asked(path, ("search", {"question": "anything", "k": 9, "where": "year >= 2000"}))
    answered = {one["id"]: one["attributes"] for one in found.structured_content["result"]}
    assert answered == {"mail": METADATA["mail"], "csv": METADATA["csv"]}


def test_passages_of_one_document_are_found_on_demand(path):
    few, many = asked(
        path,
        ("search", {"question": "rain on the harbour", "k": 3}),
        ("search", {"question": "rain on the harbour", "k": 3, "passages": True}),
    )
    assert len({one["id"] for one in few.structured_content["result"]}) == 3
    assert [one["id"] for one in many.structured_content["result"]] == ["long"] * 3


def test_a_long_document_is_read_in_parts(path):
    whole, part, beyond = (
        answer.structured_content
        for answer in asked(
            path,
            ("get", {"id": "long"}),
            ("get", {"id": "long", "start": 30_000, "characters": 10}),
            ("get", {"id": "long", "start": 10**6}),
        )
    )
    assert (whole["text"], whole["length"]) == (LONG[: len(whole["text"])], len(LONG))
    assert whole["end"] == len(whole["text"]) < len(LONG)
    assert (part["text"], part["start"], part["end"]) == (LONG[30_000:30_010], 30_000, 30_010)
    assert (beyond["text"], beyond["start"], beyond["end"]) == ("", len(LONG), len(LONG))


def test_what_is_written_meanwhile_is_found(tmp_path):
    place = tmp_path / "docs.cenote"
    cenote.create(place, [{"id": "a", "text": "Glass is made of sand."}], "wordllama | flat").close()
    running = server(place)
    with cenote.open(place) as other:
        other.add([{"id": "b", "text": "Rain falls on the harbour."}])
    [found] = asked(place, ("search", {"question": "rain on the harbour", "k": 1}), over=running)
    assert found.structured_content["result"][0]["id"] == "b"


def test_what_is_refused_is_a_sentence_for_the_assistant(path):
    missing, wrong, empty, many = asked(
        path,
        ("get", {"id": "never"}),
        ("search", {"question": "a", "where": "yaer > 3"}),
        ("search", {"question": " "}),
        ("search", {"question": "a", "k": 10**6}),
    )
    assert "no document 'never' in the collection" in refused(missing)
    assert "yaer" in refused(wrong)
    assert "question" in refused(empty)
    assert "k" in refused(many)


def test_a_folder_that_is_no_collection_is_refused(tmp_path, capsys):
    assert main(["mcp", str(tmp_path / "nowhere")]) == 2
    assert "there is no collection at" in capsys.readouterr().err
