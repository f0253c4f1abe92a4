"""The table of words: every component by its kind and word, imported only when used.

A row of `registry.toml` names a class; the class' constructor is its configuration. `make` calls it with the values a
recipe gives, `config` reads an object's arguments back as JSON, and `build` makes the object again from that.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import tomllib
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from cenote.errors import UnknownWord

_NOT_WRITTEN = ("codec", "rerank", "seed", "saturation")
"""What an engine's `build` is told by the other stages."""
_MODEL_SIZES = ("dim", "layers")
_OTHERWISE = "."
"""Between kind and word where the word alone would not do."""
STAGE_KINDS = ("chunker", "encoder", "pool", "reduce", "transform", "codec", "engine", "rerank", "fuse")
_PLAIN = (*STAGE_KINDS, "adapter")
"""Kinds whose words are told from each other without their kind."""


@dataclass(frozen=True)
class Row:
    """One word: its kind, where its class is, the payloads it takes and gives, and one line about it."""

    kind: str
    word: str
    make: str | None
    takes: frozenset[str]
    gives: str
    about: str
    paper: int | None = None
    trained: bool = False
    side: tuple[str, ...] = ()

    @property
    def built(self) -> bool:
        """Whether there is a class behind the word."""
        return self.make is not None

    @property
    def names_model(self) -> bool:
        """Whether the word is the name of a model, which its class is told."""
        return self.kind == "encoder" and self.gives == "states"

    def load(self) -> Any:
        """Import and return the class (or function) of the row.

        Raises UnknownWord where the word is known but not built.
        """
        if self.make is None:
            raise UnknownWord(f"`{self.word}` is known but not built in this version")
        module, _, attribute = self.make.partition(":")
        return getattr(importlib.import_module(module), attribute)


@cache
def table() -> Mapping[tuple[str, str], Row]:
    """Return every row by (kind, word), read once from `registry.toml`."""
    raw = tomllib.loads(files("cenote").joinpath("registry.toml").read_text(encoding="utf-8"))
    out: dict[tuple[str, str], Row] = {}
    for kind, words in raw.items():
        for word, row in words.items():
            takes = frozenset(part.strip() for part in row.get("takes", "").split("|") if part.strip())
            out[kind, word] = Row(
                kind=kind,
                word=word,
                make=row.get("make"),
                takes=takes,
                gives=row.get("gives", ""),
                about=row.get("about", ""),
                paper=row.get("paper"),
                trained=row.get("trained", False),
                side=tuple(row.get("side", ())),
            )
    return types.MappingProxyType(out)


def rows(kind: str | None = None) -> list[Row]:
    """Return the rows of one kind, or all, in the order of the table."""
    return [row for row in table().values() if kind is None or row.kind == kind]


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word most like `word`, or None when nothing is like it."""
    found = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.5)
    return found[0] if found else None


def find(word: str, kinds: Sequence[str] = STAGE_KINDS) -> Row:
    """Return the row of a word among some kinds.

    Raises UnknownWord naming the nearest word.
    """
    known = {row.word: row for row in table().values() if row.kind in kinds}
    if word in known:
        return known[word]
    close = nearest(word, known)
    hint = f"nearest: `{close}`" if close else "known: " + ", ".join(f"`{name}`" for name in known)
    raise UnknownWord(f"no word `{word}`; {hint}")


def parameters(made: Callable[..., Any]) -> tuple[inspect.Parameter, ...]:
    """Return the constructor's parameters with their annotations resolved: the configuration of the class."""
    function = made.__init__ if inspect.isclass(made) else made
    hints = typing.get_type_hints(function)
    found = list(inspect.signature(function).parameters.values())
    if inspect.isclass(made):
        found = found[1:]
    kept = [p for p in found if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    return tuple(p.replace(annotation=hints.get(p.name, Any)) for p in kept)


def recipe_parameters(row: Row) -> tuple[inspect.Parameter, ...]:
    """Return what a recipe may write behind a word.

    The constructor's arguments; without the model for an encoder, which the word itself names; without the sizes of
    the model that a pooler must be told (`model_sizes`); and for an engine, whose constructor takes arrays, what its
    `build` takes beside the payload and what the other stages say.
    """
    made = row.load()
    if row.kind == "engine":
        return tuple(p for p in parameters(made.build)[1:] if p.name not in _NOT_WRITTEN)
    left_out = {"model"} if row.names_model else model_sizes(row)
    return tuple(p for p in parameters(made) if p.name not in left_out)


def model_sizes(row: Row) -> frozenset[str]:
    """Return the sizes of the model that a pooler cannot do without, of `dim` (of its tokens) and `layers`."""
    if row.kind != "pool":
        return frozenset()
    return frozenset(p.name for p in parameters(row.load()) if p.default is p.empty and p.name in _MODEL_SIZES)


def coerce(text: str, annotation: Any, name: str) -> Any:
    """Read one written value as the annotated type: int, float, bool, str, a Literal, or a union of these.

    Raises ValueError naming the argument and what was expected.
    """
    origin, options = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        for option in options:
            if text == str(option):
                return option
        raise ValueError(f"{name} must be one of {', '.join(map(str, options))}, not {text!r}")
    if origin in (typing.Union, types.UnionType):
        if type(None) in options and text == "none":
            return None
        # str accepts anything, so it is tried last whatever the order of the union
        for option in sorted((o for o in options if o is not type(None)), key=lambda o: o is str):
            try:
                return coerce(text, option, name)
            except ValueError:
                continue
        raise ValueError(f"{name} cannot be {text!r}")
    if annotation is bool:
        if text.lower() in ("true", "yes", "1"):
            return True
        if text.lower() in ("false", "no", "0"):
            return False
        raise ValueError(f"{name} must be true or false, not {text!r}")
    if annotation in (int, float):
        try:
            value: int | float = annotation(text)
        except ValueError:
            wanted = "a whole number" if annotation is int else "a number"
            raise ValueError(f"{name} must be {wanted}, not {text!r}") from None
        return value
    return text


def arguments(row: Row, values: Sequence[str] = (), keys: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Bind what a recipe writes after a word to the constructor's parameters, typed.

    Raises ValueError for too many values, an unknown key, one given twice, or a value of the wrong type.
    """
    known = recipe_parameters(row)
    positional = [p for p in known if p.kind is p.POSITIONAL_OR_KEYWORD]
    if len(values) > len(positional):
        most = f"at most {len(positional)} ({', '.join(p.name for p in positional)})" if positional else "none"
        raise ValueError(f"`{row.word}` takes {most} of the values {' '.join(values)}")
    bound = {p.name: coerce(v, p.annotation, p.name) for p, v in zip(positional, values, strict=False)}
    by_name = {p.name: p for p in known}
    for key, text in (keys or {}).items():
        if key not in by_name:
            close = nearest(key, by_name)
            hint = f"did you mean `{close}`?" if close else f"it takes {', '.join(by_name) or 'no arguments'}"
            raise ValueError(f"`{row.word}` has no argument `{key}`; {hint}")
        if key in bound:
            raise ValueError(f"`{row.word}` got `{key}` twice")
        bound[key] = coerce(text, by_name[key].annotation, key)
    missing = [p.name for p in known if p.default is p.empty and p.name not in bound]
    if missing:
        raise ValueError(f"`{row.word}` needs a value for {', '.join(missing)}")
    return bound


def make(word: str, kinds: Sequence[str] = STAGE_KINDS, **given: Any) -> Any:
    """Make the component of a word with constructor arguments.

    Raises UnknownWord; whatever the constructor raises passes through.
    """
    row = find(word, kinds)
    return row.load()(word, **given) if row.names_model else row.load()(**given)


@cache
def _words_by_class() -> Mapping[str, str]:
    built = [row for row in table().values() if row.make is not None and not row.names_model]
    return {str(row.make): row.word if row.kind in _PLAIN else f"{row.kind}{_OTHERWISE}{row.word}" for row in built}


def word_of(component: Any) -> str:
    """Return the word that makes a component of this class; outside of recipes with its kind: `window.mixed`.

    Raises UnknownWord for a class that has no row.
    """
    kind = type(component)
    word = _words_by_class().get(f"{kind.__module__}:{kind.__qualname__}")
    if word is None:
        raise UnknownWord(f"{kind.__qualname__} has no row in the registry")
    return word


def config(component: Any) -> dict[str, Any]:
    """Return `{"word": ..., argument: value, ...}`: what `build` needs to make the component again.

    Every constructor argument is read from the attribute of the same name; values are JSON.
    """
    given = {p.name: getattr(component, p.name) for p in parameters(type(component))}
    return {"word": word_of(component)} | {name: _plain(value) for name, value in given.items()}


def _plain(value: Any) -> Any:
    """Lists in the place of tuples, as JSON has them."""
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def build(config: Mapping[str, Any]) -> Any:
    """Make a component, an adapter of poolers among them, from what `config` returned.

    Raises UnknownWord, or ValueError when the word is missing.
    """
    if "word" not in config:
        raise ValueError(f"a configuration needs the key `word`; given: {', '.join(config) or 'nothing'}")
    arguments = {key: value for key, value in config.items() if key != "word"}
    kind, _, word = config["word"].rpartition(_OTHERWISE)
    return make(word, (kind,) if kind else _PLAIN, **arguments)
