"""Bad input: refused with a sentence, and nothing that is stored is harmed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from served import TEXTS, Client, collection, refused, served

from cenote.collection import open_collection

pytest.importorskip("fastapi")
pytest.importorskip("wordllama")

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    place = collection(tmp_path_factory.mktemp("served"))
    with served(place) as (_, client):
        yield client
    with open_collection(place) as opened:
        opened.verify()
        assert set(opened.ids()) == set(TEXTS)


def _one(text: Any = "text", id: Any = "id", **attributes: Any) -> dict[str, Any]:
    return {"documents": [{"id": id, "text": text, "attributes": attributes}]}


MALFORMED = (
    *(b"", b"{", b"null", b"[]", b"3", b'"text"', b"\xff\xfe", b"[" * 100_000),
    *(b'{"queries": ["\\ud800"]}', b'{"queries": ["a"], "k": NaN}', b'{"queries": ["a"], "k": 1e400}'),
    b'{"queries": ["a"], "k": ' + b"9" * 5000 + b"}",
)


@pytest.mark.parametrize("content", MALFORMED, ids=range(len(MALFORMED)))
@pytest.mark.parametrize("path", ["/search", "/documents", "/encode", "/v1/embeddings"])
def test_malformed_bodies(client: Client, path: str, content: bytes) -> None:
    answer = client.post(path, content=content, headers=JSON)
    refused(answer, 400 if answer.status_code == 400 else 422)


SEARCH, ENCODE, EMBED = ({"queries": ["a"]}, {"texts": ["a"]}, {"input": "a"})


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("/search", {}, "queries"),
        ("/search", {"queries": "gzip"}, "queries"),
        ("/search", {"queries": []}, "queries"),
        ("/search", {"queries": ["a", 3]}, "queries.1"),
        ("/search", {"queries": [" \n"]}, "queries.0"),
        ("/search", {"queries": ["x" * 10_001]}, "10000"),
        ("/search", {"queries": ["a"] * 257}, "256"),
        ("/search", SEARCH | {"k": 0}, "k"),
        ("/search", SEARCH | {"k": 1001}, "1000"),
        ("/search", {"queries": ["a"] * 11, "k": 1000}, "10,000"),
        ("/search", SEARCH | {"k": "10"}, "k"),
        ("/search", SEARCH | {"k": 2.5}, "k"),
        ("/search", SEARCH | {"k": True}, "k"),
        ("/search", SEARCH | {"where": ""}, "where"),
        ("/search", SEARCH | {"where": 3}, "where"),
        ("/search", SEARCH | {"where": "year > 3 " * 200}, "1000"),
        ("/search", SEARCH | {"wher": "year > 3"}, "wher"),
        ("/search", SEARCH | {"passages": "yes"}, "passages"),
        ("/documents", {}, "documents"),
        ("/documents", {"documents": []}, "documents"),
        ("/documents", _one(id=""), "documents.0.id"),
        ("/documents", _one(id=3), "documents.0.id"),
        ("/documents", _one(id="x" * 1001), "documents.0.id"),
        ("/documents", _one(text=None), "documents.0.text"),
        ("/documents", _one(text="x" * 1_000_001), "documents.0.text"),
        ("/documents", _one(year={"a": 1}), "year"),
        ("/documents", _one(**{"": 1}), "documents.0.attributes"),
        ("/documents", _one(**{"a`b": 1}), "a`b"),
        ("/documents", _one(**{f"a{n}": n for n in range(101)}), "100"),
        ("/documents", {"documents": [{"id": "a", "text": "b", "source": "/etc/passwd"}]}, "source"),
        ("/documents", {"documents": [{"id": "a", "text": "b"}] * 2}, "twice"),
        ("/documents", {"documents": "/etc"}, "documents"),
        ("/encode", {"texts": "a"}, "texts"),
        ("/encode", {"texts": [""]}, "texts.0"),
        ("/encode", ENCODE | {"role": "both"}, "role"),
        ("/v1/embeddings", {"input": []}, "input"),
        ("/v1/embeddings", EMBED | {"dimensions": 0}, "dimensions"),
        ("/v1/embeddings", EMBED | {"encoding_format": "hex"}, "encoding_format"),
        ("/v1/embeddings", EMBED | {"model": None}, "model"),
    ],
)
def test_bodies_of_another_shape_name_the_place(client: Client, path: str, body: Any, named: str) -> None:
    assert named in refused(client.post(path, body), 422)


CONDITIONS = (
    *("nothing = 1", "year >", "year = 1; drop table rows", "1=1 limit 1", "year > 1 -- x", "(year > 1", "year like 3"),
    *("year = :1", "year / 0 = 1", "'" * 7, "year > 'x'", "not " * 240 + "year = 1"),
    *("\0", "year = 1 \0", "text like '\0'", "id in (select id from rows)", "source like '%' escape 'ab'", "kind"),
)


@pytest.mark.parametrize("where", CONDITIONS)
def test_conditions_that_are_none(client: Client, where: str) -> None:
    answer = client.post("/search", {"queries": ["a"], "where": where})
    if answer.status_code != 200:  # a NUL is a character like others
        assert "where" in refused(answer, 400)
    else:
        assert "\0" in where


def test_many_terms_in_a_row_do_not_end_the_process(client: Client) -> None:
    for term, sign in (("1", "+"), ("year", "="), ("year=1", " or "), ("- 1", "-"), ("(1)", "*")):
        where = "year = " + sign.join([term] * (990 // len(term + sign)))
        assert client.post("/search", {"queries": ["a"], "where": where[:1000]}).status_code in (200, 400)
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    ("where", "named"),
    [
        ("coalesce(" * 30 + "year" + ", 1)" * 30 + " = 1", "coalesce"),
        ("(year > 1)" + " between false and true" * 30, "between"),
        ("cast(" * 49 + "year" + " as int)" * 49 + " = 1", "brackets"),
        ("(" * 400 + "1=1" + ")" * 400, "brackets"),
    ],
)
def test_conditions_that_would_take_for_ever_are_refused(client: Client, where: str, named: str) -> None:
    assert named in refused(client.post("/search", {"queries": ["a"], "where": where}), 422)


def test_conditions_may_be_as_long_as_people_write_them(client: Client) -> None:
    where = " and ".join(["(year between 1900 and 2100)"] * 4 + ["(coalesce(year, 0) > 1)"] * 4)
    assert len(client.post("/search", {"queries": ["a"], "where": where}).json()["results"][0]["hits"]) > 0


PATHS = (
    *("/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/page.js/..%2f..%2fgate.py", "/static/../page/index.html"),
    *("/documents", "/documents/", "/search/", "/docs", "/redoc", "/\\..\\x", "/%00", "/é", "/" + "a" * 5000),
)


@pytest.mark.parametrize("path", PATHS)
def test_paths_that_lead_nowhere(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code in (404, 405)
    refused(answer, answer.status_code)


def test_methods_that_are_none(client: Client) -> None:
    for method in ("PUT", "PATCH", "OPTIONS", "TRACE", "BREW"):
        assert f"/search takes no {method}" in refused(client.request(method, "/search"), 405)


def test_a_wrong_name_is_named_beside_the_one_that_is_missing(client: Client) -> None:
    said = refused(client.post("/search", {"query": "gzip"}), 422)
    assert said == "queries is missing; query is not known here"


def test_of_many_faults_three_are_told_and_the_rest_counted(client: Client) -> None:
    said = refused(client.post("/search", {"queries": [1, 2, 3, 4, 5]}), 422)
    assert [f"queries.{n}" in said for n in range(5)] == [True, True, True, False, False]
    assert said.endswith("(and 2 more)")


def test_numbers_that_json_does_not_know_are_null(tmp_path: Path) -> None:
    place = collection(tmp_path)
    with served(place) as (_, client), open_collection(place) as other:
        other.add([{"id": "inf", "text": "infinite glass", "size": float("inf")}])
        answer = client.post("/search", {"queries": ["infinite glass"], "k": 1})
        hit = json.loads(answer.text, parse_constant=lambda name: pytest.fail(name))["results"][0]["hits"][0]
    assert hit["attributes"]["size"] is None


def test_damage_is_an_error_of_the_server_and_says_which_file(tmp_path: Path) -> None:
    place = collection(tmp_path)
    with served(place) as (_, client):
        with open_collection(place) as other:
            other.add([{"id": "a", "text": "b"}])
        newest = max(place.glob("MANIFEST-*.json"))
        newest.write_bytes(newest.read_bytes()[:-20])
        answer = client.post("/search", {"queries": ["gzip"]})
        assert newest.name in refused(answer, 500)


def test_a_failure_nobody_foresaw_gives_nothing_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(collection(tmp_path)) as (service, client):

        def fail(*given: Any, **options: Any) -> None:
            raise RuntimeError("the secret of the house")

        monkeypatch.setattr(service._reading, "search", fail)
        assert "secret" not in refused(client.post("/search", {"queries": ["gzip"]}), 500)
        monkeypatch.undo()
        assert client.ids("compress with gzip", k=1) == ["gzip.txt"]


def test_whatever_the_description_allows_is_no_error_of_the_server(tmp_path: Path) -> None:
    schemathesis = pytest.importorskip("schemathesis")
    from hypothesis import HealthCheck, Phase, given, settings

    place = collection(tmp_path)
    with served(place) as (_, client):
        schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
        answered: dict[int, int] = {}
        for operation in (found.ok() for found in schema.get_all_operations()):
            for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):

                @given(case=operation.as_strategy(generation_mode=mode))
                @settings(
                    max_examples=10,
                    deadline=None,
                    derandomize=True,
                    database=None,
                    phases=[Phase.generate],
                    suppress_health_check=list(HealthCheck),
                )
                def ask(case: Any) -> None:
                    sent = case.as_transport_kwargs(base_url="http://localhost")
                    answer = client.request(
                        sent["method"],
                        sent["url"],
                        params=sent.get("params"),
                        headers=dict(sent.get("headers") or {}),
                        **({"json": sent["json"]} if "json" in sent else {"content": sent.get("data")}),
                    )
                    answered[answer.status_code] = answered.get(answer.status_code, 0) + 1
                    assert answer.status_code < 500, (case, answer.text)

                try:
                    ask()
                except Exception as error:
                    if "Unsatisfiable" not in type(error).__name__:
                        raise
        assert answered[200] > 20
    with open_collection(place) as opened:
        opened.verify()
