"""Poolers: the tokens of a row become one vector."""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "AdaPool": "adapool",
    "AdaUnPool": "adaunpool",
    "AttSets": "attsets",
    "Chain": "adapters",
    "ClassTokenPool": "class_token",
    "Cls": "cls",
    "ClsAttend": "cls_attend",
    "Concat": "adapters",
    "DCNN": "dcnn",
    "DependencyPool": "dependency",
    "Dice": "dice",
    "DynamicKMax": "dynamic_kmax",
    "EntityPool": "entities",
    "EntitySentencePool": "entity_sentence",
    "ExpAda": "expadapool",
    "ExpAdaPool": "expadapool",
    "GGeM": "ggem",
    "GNP": "gnp",
    "GSP": "gsp",
    "GWAP": "gwap",
    "GWAPClasses": "gwap_classes",
    "Gated": "gated",
    "GatedPool": "gated",
    "GeM": "gem",
    "IDW": "idw",
    "KMax": "kmax",
    "LE": "le",
    "LP": "lp",
    "LSE": "lse",
    "LSTM": "lstm",
    "Last": "last",
    "LatentAttention": "latent_attention",
    "LatentQueries": "latent_queries",
    "MILAttention": "mil_attention",
    "Max": "max",
    "MaxCls": "max_cls",
    "MaxSeqAttend": "max_seq_attend",
    "Mean": "mean",
    "Min": "min",
    "Mix": "adapters",
    "Mixed": "mixed",
    "MixedPool": "mixed",
    "MultiLayer": "multi_layer",
    "OverLayers": "adapters",
    "OverSpace": "over_space",
    "OverTime": "over_time",
    "PiecewisePool": "piecewise",
    "Pooler": "base",
    "Pyramid": "pyramid",
    "SimPool": "simpool",
    "SoftPool": "softpool",
    "SpatialPyramid": "spatial_pyramid",
    "Sqrt": "sqrt",
    "Sum": "sum",
    "TreePool": "tree",
    "Weighted": "weighted",
    "Windows": "windows",
    "ZeroShotPrediction": "zero_shot",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
