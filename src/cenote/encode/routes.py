"""Routers of sentence-transformers: modules that texts of one role go through, and those of the other do not.

router_config.json  {"types": {name: type}, "structure": {route: [name, …]}, "parameters": {"route_mappings": …, …}}

A route is found as `Router` finds it, for texts and the task of the role: by the mapping of both, of the task, of
texts, of neither, by its own name, by the name of texts. Where neither role has one, both take the default route, as
`encode` of a text without a task does.
"""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from cenote.encode.layout import Named, module

ROUTERS = ("Router", "Asym")
"""The module, and what it was called before."""
Role: TypeAlias = Literal["query", "document"]
ROLES: tuple[Role, Role] = ("query", "document")
_TASKS: dict[Role, tuple[str, ...]] = {"query": ("query",), "document": ("document", "doc", "passage", "corpus")}
_MODALITY = "text"
Mapped: TypeAlias = dict[tuple[str | None, Any], str]


def routed(folder: Path, modules: Sequence[Named], role: Role) -> list[Named]:
    """Return the modules that texts of a role go through: those of its route in the place of a router.

    Raises ValueError for a router that does not say which those are.
    """
    return [one for each in modules for one in (_route(folder, each, role) if each.kind in ROUTERS else [each])]


def _route(folder: Path, router: Named, role: Role) -> list[Named]:
    if router.place is None or not {"types", "structure"} <= set(router.settings):
        raise ValueError(f"{folder} has a {router.kind} without a router_config.json that names its modules")
    types, routes = router.settings["types"], router.settings["structure"]
    told = router.settings.get("parameters") or {}
    first = next(iter(routes), None) if told.get("allow_empty_key", True) else None
    name = route_of(list(routes), _mapped(folder, told), told.get("default_route") or first, role)
    if name not in routes:
        raise ValueError(f"{folder} has a {router.kind} with routes {', '.join(routes)}, and none is for a {role}")
    return [module(folder, types[one], router.place / one) for one in routes[name]]


def route_of(routes: Sequence[str], mapped: Mapped, default: str | None, role: Role) -> str | None:
    """Return the route of texts of a role, None where there is none."""
    names = {
        asked: next((name for task in tasks if (name := _name(routes, mapped, task)) is not None), None)
        for asked, tasks in _TASKS.items()
    }
    return names[role] if any(names.values()) else default


def _mapped(folder: Path, told: dict[str, Any]) -> Mapped:
    try:
        return {literal_eval(key): route for key, route in (told.get("route_mappings") or {}).items()}
    except (ValueError, SyntaxError):
        raise ValueError(f"{folder} has a Router whose route_mappings are no pairs of task and modality") from None


def _name(routes: Sequence[str], mapped: Mapped, task: str) -> str | None:
    """Return the route of texts with a task."""
    keys = ((task, _MODALITY), (task, None), (None, _MODALITY), (None, None))
    found = [mapped[key] for key in keys if key in mapped] + [name for name in (task, _MODALITY) if name in routes]
    return found[0] if found else None
