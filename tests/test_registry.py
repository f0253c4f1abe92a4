"""The table of words and the classes behind it agree."""

import inspect
import json
import pkgutil
from importlib import import_module
from types import ModuleType

import pytest

import cenote.compress
import cenote.pool
from cenote import registry
from cenote.errors import UnknownWord
from cenote.registry import Row

BUILT = [row for row in registry.rows() if row.built]
PAYLOADS = {"documents", "texts", "states", "dense", "multi", "sparse", "codes", "index", "hits"}
every_word = pytest.mark.parametrize("row", BUILT, ids=lambda row: f"{row.kind}.{row.word}")


@every_word
def test_there_is_a_class_behind_every_word(row: Row) -> None:
    assert callable(row.load())


@every_word
def test_what_a_recipe_may_write_behind_it_can_be_read(row: Row) -> None:
    for one in registry.recipe_parameters(row):
        assert one.annotation is not inspect.Parameter.empty, f"{row.word} does not say what {one.name} is"


@pytest.mark.parametrize("row", registry.rows(), ids=lambda row: f"{row.kind}.{row.word}")
def test_every_row_says_what_it_is(row: Row) -> None:
    assert row.about
    assert row.about == row.about.strip()
    if row.kind in registry.STAGE_KINDS:
        assert row.takes
        assert row.takes | {row.gives} <= PAYLOADS


def test_a_word_names_one_thing_in_a_recipe() -> None:
    words = [row.word for row in registry.rows() if row.kind in registry.STAGE_KINDS]
    assert len(words) == len(set(words))


@pytest.mark.parametrize(
    ("package", "base", "kinds"),
    [
        (cenote.pool, "Pooler", {"pool"}),
        (cenote.compress, "Codec", {"codec"}),
        (cenote.compress, "Transform", {"transform"}),
    ],
)
def test_every_class_has_a_row(package: ModuleType, base: str, kinds: set[str]) -> None:
    root = getattr(import_module(f"{package.__name__}.base"), base)
    makers = {row.load() for row in BUILT if row.kind in kinds}
    for name in (module.name for module in pkgutil.iter_modules(package.__path__)):
        inside = [one for one in vars(import_module(f"{package.__name__}.{name}")).values() if inspect.isclass(one)]
        # what is made of other components is written by composing their words
        found = {one for one in inside if issubclass(one, root) and not abstract(one) and name != "adapters"}
        assert found <= makers, name


def abstract(kind: type) -> bool:
    return any(getattr(getattr(kind, name), "__isabstractmethod__", False) for name in dir(kind))


@pytest.mark.parametrize("row", [row for row in BUILT if row.kind in ("codec", "transform")], ids=lambda row: row.word)
def test_configurations_go_through_json(row: Row) -> None:
    needed = {p.name: 4 for p in registry.parameters(row.load()) if p.default is p.empty}
    made = row.load()(**needed)
    config = json.loads(json.dumps(registry.config(made)))
    assert registry.config(registry.build(config)) == registry.config(made)


@pytest.mark.parametrize(
    ("kind", "word", "given"),
    [
        ("pool", "mixed", {}),
        ("pool", "expadapool", {}),
        ("pool", "pyramid", {"levels": (3, 1)}),
        ("window", "mixed", {"kernel": (2, 3)}),
        ("window", "gated", {"kernel": 2, "share": "channel", "channels": 4}),
        ("window", "tree", {"kernel": 3, "stride": 2}),
        ("window", "expadapool", {"kernel": (2, 2), "out_size": (3, 3)}),
        ("window", "adaunpool", {"kernel": 2}),
        ("window", "dynamic-kmax", {"k_top": 3, "layer": 1, "layers": 2}),
        ("map", "pyramid", {"levels": (3, 1)}),
        ("classifier", "dcnn", {"vocabulary": 9, "classes": 2}),
    ],
)
def test_a_word_of_two_kinds_is_built_as_the_kind_it_was(kind: str, word: str, given: dict[str, object]) -> None:
    made = registry.find(word, (kind,)).load()(**given)
    config = registry.config(made)
    assert json.loads(json.dumps(config)) == config
    again = registry.build(config)
    assert type(again) is type(made)
    assert registry.config(again) == config


def test_every_word_of_windows_maps_and_classifiers_is_told_from_those_of_recipes() -> None:
    others = {row.word for row in BUILT if row.kind in ("window", "map", "classifier")}
    assert others & {row.word for row in BUILT if row.kind == "pool"} >= {"mixed", "gated", "expadapool", "pyramid"}


def test_a_word_that_is_none_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownWord, match="no word `float7`; nearest: `float8`"):
        registry.find("float7")


def test_a_word_that_is_not_built_says_so() -> None:
    planned = next(row for row in registry.rows() if not row.built)
    with pytest.raises(UnknownWord, match="known but not built"):
        planned.load()
