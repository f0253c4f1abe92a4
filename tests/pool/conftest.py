"""Peers of the poolers."""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def timm_pools() -> ModuleType:
    """The poolers of timm, read without its models, which need torchvision."""
    found = importlib.util.find_spec("timm")
    if found is None or found.origin is None:
        pytest.skip("timm is not installed")
    layers = Path(found.origin).parent / "layers"
    if not (layers / "other_pool.py").is_file():
        pytest.skip("this timm is too old to have these poolers")
    package = ModuleType("timm_layers_alone")
    package.__path__ = [str(layers)]
    sys.modules[package.__name__] = package
    return importlib.import_module(f"{package.__name__}.other_pool")
