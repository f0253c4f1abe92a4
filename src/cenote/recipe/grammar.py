"""The notation of recipes, read into a tree that still holds its choices.

    recipe = [chunker "|"] ( chain | "(" chain ")" { "+" "(" chain ")" } "|" fuse )
    chain  = step { "|" step }          step = stage | choice
    stage  = (word ["@" path] | "quoted path or hub id") { value | key "=" value }
    choice = "{" chain { "," chain } "}"

This file knows marks and places only: `payloads` knows which word may follow which, `grid` multiplies choices out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TypeAlias

from cenote.errors import RecipeError

MARKS = "|{}(),+="
_DEEPEST = 30  # choices in each other: a reader that calls itself must end before the stack does
_TOKEN = re.compile(r'\s*(?:(?P<mark>[|{}(),+=])|(?P<string>"[^"]*")|(?P<word>[^\s|{}(),+="]+))')


@dataclass(frozen=True)
class Stage:
    """A word with its arguments, as written. `start`, `end` are its characters in the recipe."""

    word: str
    values: tuple[str, ...] = ()
    keys: tuple[tuple[str, str], ...] = ()
    path: str | None = None
    quoted: bool = False
    start: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)

    def __str__(self) -> str:
        head = f'"{self.word}"' if self.quoted else self.word
        if self.path is not None:
            head += "@" + _written(self.path)
        return " ".join([head, *map(_written, self.values), *(f"{k}={_written(v)}" for k, v in self.keys)])


@dataclass(frozen=True)
class Choice:
    """Alternatives, each a chain; an empty chain is `none`."""

    chains: tuple[Chain, ...]
    start: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Legs:
    """Parenthesised chains that run side by side and are fused by the stage that follows."""

    chains: tuple[Chain, ...]
    start: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)


Step: TypeAlias = Stage | Choice | Legs
Chain: TypeAlias = tuple[Step, ...]


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int


def _written(value: str) -> str:
    """Quote a value that would not read back as one word."""
    return f'"{value}"' if not value or re.search(r'[\s|{}(),+="]', value) else value


def _tokens(text: str) -> list[_Token]:
    found, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            opening = at + len(text[at:]) - len(text[at:].lstrip())
            raise RecipeError("a quote is opened and not closed", text, opening, len(text))
        kind = str(match.lastgroup)
        found.append(
            _Token(kind, match[kind].strip('"') if kind == "string" else match[kind], match.start(kind), match.end())
        )
        at = match.end()
    return found


class _Reader:
    """One pass over the tokens; each method reads the rule of its name."""

    def __init__(self, text: str) -> None:
        self.text, self.tokens, self.at, self.depth = text, _tokens(text), 0, 0

    def peek(self) -> _Token | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def is_mark(self, *marks: str) -> bool:
        token = self.peek()
        return token is not None and token.kind == "mark" and token.text in marks

    def take(self) -> _Token:
        token = self.tokens[self.at]
        self.at += 1
        return token

    def fail(self, reason: str, token: _Token | None = None) -> RecipeError:
        token = token or self.peek()
        if token is None:
            return RecipeError(reason, self.text, len(self.text))
        return RecipeError(reason, self.text, token.start, token.end)

    def close(self, mark: str, opening: _Token) -> int:
        if not self.is_mark(mark):
            token = self.peek()
            if token is None:
                raise self.fail(f"`{opening.text}` is opened here and never closed by `{mark}`", opening)
            raise self.fail(f"`{token.text}` cannot stand here; `{mark}`, `|` or an argument was expected")
        return self.take().end

    def recipe(self) -> Chain:
        chain = self.chain(inside=False)
        if self.peek() is not None:
            raise self.fail(f"`{self.take().text}` cannot stand here", self.tokens[self.at - 1])
        return chain

    def chain(self, *, inside: bool) -> Chain:
        steps = [self.step(inside=inside)]
        while self.is_mark("|"):
            self.take()
            steps.append(self.step(inside=inside))
        return tuple(steps)

    def step(self, *, inside: bool) -> Step:
        token = self.peek()
        if token is None:
            raise self.fail("the recipe ends where a stage was expected")
        if self.is_mark("{"):
            return self.choice()
        if self.is_mark("("):
            if inside:
                raise self.fail("legs in parentheses cannot stand inside another leg or a choice")
            return self.legs()
        if token.kind == "mark":
            raise self.fail(f"`{token.text}` stands where a stage was expected")
        return self.stage()

    def choice(self) -> Choice:
        opening = self.take()
        self.depth += 1
        if self.depth > _DEEPEST:
            raise self.fail(f"more than {_DEEPEST} choices stand in each other here; write them side by side", opening)
        chains = [self.alternative()]
        while self.is_mark(","):
            self.take()
            chains.append(self.alternative())
        self.depth -= 1
        return Choice(tuple(chains), opening.start, self.close("}", opening))

    def alternative(self) -> Chain:
        chain = self.chain(inside=True)
        return () if chain == (Stage("none"),) else chain

    def legs(self) -> Legs:
        start, chains = self.take(), []
        chains.append(self.chain(inside=True))
        end = self.close(")", start)
        while self.is_mark("+"):
            self.take()
            if not self.is_mark("("):
                raise self.fail("`+` joins legs in parentheses: (…) + (…)")
            opening = self.take()
            chains.append(self.chain(inside=True))
            end = self.close(")", opening)
        return Legs(tuple(chains), start.start, end)

    def stage(self) -> Stage:
        head = self.take()
        word, path, end = head.text, None, head.end
        if head.kind == "word" and "@" in word:
            word, _, path = word.partition("@")
            following = self.peek()
            if not path and following is not None and following.kind == "string" and following.start == head.end:
                path, end = following.text, self.take().end
            if not word or not path:
                raise self.fail("`@` joins a word and the path of what was trained: word@path", head)
        values: list[str] = []
        keys: list[tuple[str, str]] = []
        while (token := self.peek()) is not None and token.kind != "mark":
            self.take()
            end = token.end
            if self.is_mark("="):
                self.take()
                value = self.peek()
                if value is None or value.kind == "mark":
                    raise self.fail(f"`{token.text}=` has no value", token)
                keys.append((token.text, self.take().text))
                end = value.end
            elif keys:
                raise self.fail(f"the value `{token.text}` stands after `{keys[-1][0]}=`; values come first", token)
            else:
                values.append(token.text)
        if self.is_mark("="):
            raise self.fail(f"`{head.text}` stands where a stage was expected; key=value comes behind a word", head)
        return Stage(word, tuple(values), tuple(keys), path, head.kind == "string", head.start, end)


def read(text: str) -> Chain:
    """Read a recipe or a grid of recipes.

    Raises TypeError unless `text` is a str, RecipeError with the place for anything the grammar does not hold.
    """
    if not isinstance(text, str):
        raise TypeError(f"a recipe is a str such as 'minilm | flat', not {type(text).__name__}")
    if not text.strip():
        raise RecipeError("the recipe is empty; the shortest one is an encoder, such as `minilm`")
    return _Reader(text).recipe()
