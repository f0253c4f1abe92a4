"""Questions and judgements: read as BEIR, TREC and spreadsheets keep them."""

import gzip
import os
from pathlib import Path

import pytest

from cenote.measure import RetrievalTask, load_questions
from cenote.measure.judgements import judged_beside, read_judged, read_qrels, read_queries
from cenote.measure.names import match_names

BEIR = '{"_id": "q1", "text": "how long is a day"}\n{"_id": "q2", "text": "what is salt"}\n'


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_beir_and_trec_files_of_one_test_set_give_the_same_questions(tmp_path):
    beir = read_judged(
        write(tmp_path / "queries.jsonl", BEIR),
        write(tmp_path / "test.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t2\nq2\td2\t1\n"),
    )
    trec = read_judged(
        write(tmp_path / "topics.tsv", "q1\thow long is a day\nq2\twhat is salt\n"),
        write(tmp_path / "qrels.txt", "q1 0 d1 2\nq2 0 d2 1\n"),
    )
    assert beir == trec
    assert beir[0].text == "how long is a day"
    assert beir[0].grades == {"d1": 2}


def test_gzipped_files_read_like_plain_ones(tmp_path):
    plain = write(tmp_path / "queries.jsonl", BEIR)
    packed = tmp_path / "queries.jsonl.gz"
    packed.write_bytes(gzip.compress(BEIR.encode()))
    assert read_queries(packed) == read_queries(plain)


def test_a_header_is_optional(tmp_path):
    rows = "q1\td1\t2\n"
    with_header = write(tmp_path / "a.tsv", "query-id\tcorpus-id\tscore\n" + rows)
    assert read_qrels(with_header) == read_qrels(write(tmp_path / "b.tsv", rows))


def test_ids_with_spaces_survive_where_tabs_divide(tmp_path):
    assert read_qrels(write(tmp_path / "q.tsv", "q 1\tGeneva Durben\t1\n")) == {"q 1": {"Geneva Durben": 1}}


def test_questions_without_a_judgement_are_left_out(tmp_path):
    found = read_judged(write(tmp_path / "queries.jsonl", BEIR), write(tmp_path / "q.tsv", "q2\td1\t1\n"))
    assert [question.id for question in found] == ["q2"]


def test_questions_that_nothing_answers_are_left_out(tmp_path):
    queries = write(tmp_path / "queries.jsonl", BEIR)
    task = RetrievalTask.read(queries=queries, qrels=write(tmp_path / "q.tsv", "q1\td1\t0\nq2\td1\t1\n"))
    assert task.units == ["q2"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("q.jsonl", '{"_id": "a", "text": " "}', "line 1: question 'a' is empty"),
        ("q.jsonl", '{"_id": "a"}', "line 1"),
        ("q.jsonl", "{", "line 1: not JSON"),
        pytest.param("q.jsonl", "[" * 100_000, "line 1: not JSON", id="deep"),
        ("q.jsonl", '{"_id": "a", "text": "b"}\n\n{"_id": "a", "text": "c"}', "line 3: a second question"),
        ("q.jsonl", '{"_id": "a", "text": "b", "text": "c"}', "line 1 names two columns 'text'; rename one"),
        ("q.tsv", "no tab here", "line 1: an id, a tab"),
    ],
)
def test_a_file_of_questions_that_is_wrong_names_the_line(tmp_path, name, text, message):
    with pytest.raises(ValueError, match=message):
        read_queries(write(tmp_path / name, text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q d", "line 1: question, document and grade"),
        ("q d 1\nq d x", "line 2: the grade 'x'"),
        ("q d 1\nq d 2", "line 2: 'd' has a second grade"),
        ("q d 1.5\nq d 1", "line 1: the grade '1.5'"),
        ("q d nan\nq d 1", "line 1: the grade 'nan'"),
        ("q d 1" + "0" * 30, "line 1: the grade"),
    ],
)
def test_judgements_that_are_wrong_name_the_line(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_qrels(write(tmp_path / "q.txt", text))


def test_a_missing_file_is_a_sentence(tmp_path):
    with pytest.raises(ValueError, match="cannot be read"):
        read_queries(tmp_path / "none.jsonl")


def test_files_of_two_test_sets_are_noticed(tmp_path):
    with pytest.raises(ValueError, match="judges none of the 2 questions"):
        read_judged(write(tmp_path / "queries.jsonl", BEIR), write(tmp_path / "q.tsv", "9\td1\t1\n"))


def test_questions_come_as_two_files_or_as_one(tmp_path):
    with pytest.raises(ValueError, match="`queries` together with `qrels`"):
        RetrievalTask.read(queries=tmp_path / "queries.jsonl")


@pytest.mark.parametrize("divider", [",", ";", "\t"])
def test_spreadsheets_are_read_however_their_columns_are_divided(tmp_path, divider):
    rows = [["Question", "Document", "page"], ["Why, then?", "a.pdf", "3"], ["Why, then?", "b.pdf", ""]]
    lines = [divider.join(f'"{cell}"' for cell in row) for row in rows]
    found = load_questions(write(tmp_path / "questions.csv", "\ufeff" + "\r\n".join(lines) + "\r\n"))
    assert [(question.id, question.text) for question in found] == [("1", "Why, then?")]
    assert found[0].grades == {"a.pdf": 1, "b.pdf": 1}


def test_a_workbook_gives_what_its_csv_gives(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (["question", "document"], ["why?", "a.pdf"], [None, None], ["who?", 12]):
        book.active.append(row)
    book.save(tmp_path / "q.xlsx")
    assert load_questions(tmp_path / "q.xlsx") == load_questions(
        write(tmp_path / "q.csv", "question,document\nwhy?,a.pdf\nwho?,12\n")
    )


def test_a_workbook_that_is_none_is_said(tmp_path):
    with pytest.raises(ValueError, match="cannot be read as a workbook"):
        load_questions(write(tmp_path / "q.xlsx", "question,document"))


def test_rows_said_twice_and_blank_rows_change_nothing(tmp_path):
    once = "question,document\nwhy?,a.pdf\n"
    assert load_questions(write(tmp_path / "a.csv", once)) == load_questions(
        write(tmp_path / "b.csv", once + ",\nwhy?,a.pdf\n,\n")
    )


def test_an_empty_question_names_its_row(tmp_path):
    with pytest.raises(ValueError, match="row 3: the question is empty"):
        load_questions(write(tmp_path / "q.csv", "question,document\nwhy?,a.pdf\n ,b.pdf\n"))


def test_a_missing_column_names_the_one_to_rename(tmp_path):
    with pytest.raises(ValueError, match=r"no column `document`.*rename 'documents'"):
        load_questions(write(tmp_path / "q.csv", "question,documents\nwhy?,a.pdf\n"))


def test_two_columns_of_one_name_are_refused_however_they_are_spelt(tmp_path):
    two = "the first row of .* names two columns 'document'; rename one"
    for header in ("question,document,document", "Question,Document,document "):
        with pytest.raises(ValueError, match=two):
            load_questions(write(tmp_path / "q.csv", f"{header}\nwhy?,a.pdf,b.pdf\n"))
    # columns without a name are no two of one
    assert load_questions(write(tmp_path / "q.csv", ",question,,document,\n1,why?,,a.pdf,\n"))


def test_two_columns_of_one_name_in_a_workbook_are_refused(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (["question", "document", "question"], ["why?", "a.pdf", "who?"]):
        book.active.append(row)
    book.save(tmp_path / "q.xlsx")
    with pytest.raises(ValueError, match="two columns 'question'"):
        load_questions(tmp_path / "q.xlsx")


def test_a_sheet_that_is_not_utf8_says_how_to_save_it(tmp_path):
    (tmp_path / "q.csv").write_bytes("question,document\nwer?,für.pdf\n".encode("cp1252"))
    with pytest.raises(ValueError, match="CSV UTF-8"):
        load_questions(tmp_path / "q.csv")


IDS = ["guide/Setup Guide.pdf", "guide/faq.md", "old/faq.md", "notes/v1.2.txt", "Zu\u0308rich.pdf"]


@pytest.mark.parametrize(
    ("name", "id"),
    [
        ("guide/faq.md", "guide/faq.md"),
        ("Guide\\FAQ.md", "guide/faq.md"),
        ("setup guide.pdf", "guide/Setup Guide.pdf"),
        ("Setup Guide", "guide/Setup Guide.pdf"),
        ("v1.2", "notes/v1.2.txt"),
        ("guide/faq", "guide/faq.md"),
        ("/home/me/docs/old/faq.md", "old/faq.md"),
        ("Z\u00fcrich", "Zu\u0308rich.pdf"),
    ],
)
def test_a_document_is_found_by_what_people_call_it(name, id):
    assert match_names([name], IDS) == {name: id}


def test_an_exact_id_wins_over_names_that_are_like_it():
    assert match_names(["FAQ"], ["FAQ", "faq", "faq.md"]) == {"FAQ": "FAQ"}


def test_all_names_that_match_nothing_are_listed_with_the_nearest():
    with pytest.raises(ValueError) as caught:
        match_names(["setup giude.pdf", "xyz", "faq.md"], IDS)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("3 of the documents named")
    assert "'guide/Setup Guide.pdf'" in lines[1]
    assert lines[2] == "  'xyz': nothing is like it"
    assert "may be any of 2: 'guide/faq.md', 'old/faq.md'" in lines[3]


def test_judgements_of_another_collection_are_noticed(tmp_path):
    queries = write(tmp_path / "queries.jsonl", BEIR)
    task = RetrievalTask.read(queries=queries, qrels=write(tmp_path / "q.tsv", "q1\td1\t1\n"))
    assert task.bind(["d1"]).units == ["q1"]
    with pytest.raises(ValueError, match="none of the judged documents is here"):
        task.bind(["1", "2"])


@pytest.mark.skipif("CENOTE_DATA" not in os.environ, reason="CENOTE_DATA does not say where the data is")
@pytest.mark.parametrize(
    ("name", "qrels", "judged"),
    [("cranfield", "test", 225), ("capretrieval-en", "test", 377), ("msmarco-5k", "test", 43), ("cosqa", "dev", 500)],
)
def test_real_test_sets_have_the_judged_questions_that_they_state(name, qrels, judged):
    folder = Path(os.environ["CENOTE_DATA"]) / name
    task = RetrievalTask.read(queries=folder / "queries.jsonl", qrels=folder / "qrels" / f"{qrels}.tsv")
    assert len(task) == judged


def test_a_beir_folder_brings_its_own_test_set(tmp_path: Path) -> None:
    assert judged_beside(tmp_path) is None
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "why"}\n')
    assert judged_beside(tmp_path) is None
    (tmp_path / "qrels").mkdir()
    for name, document in (("dev", "a"), ("test", "b"), ("train", "c")):
        (tmp_path / "qrels" / f"{name}.tsv").write_text(f"query-id\tcorpus-id\tscore\nq\t{document}\t1\n")
    assert judged_beside(tmp_path) == (tmp_path / "queries.jsonl", tmp_path / "qrels" / "test.tsv")
    task = RetrievalTask.read(beside=str(tmp_path))
    assert [dict(question.grades) for question in task.questions.values()] == [{"b": 1}]
    with pytest.raises(ValueError, match="questions come as"):
        RetrievalTask.read(beside=tmp_path / "qrels")
