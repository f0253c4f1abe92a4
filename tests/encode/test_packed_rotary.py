"""Packed encoders of every family give the states of transformers, layer by layer, also beyond their windows."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from cenote.encode.families import packed

LENGTHS = [1, 2, 17, 90, 33, 150, 5, 33]
CPU = torch.device("cpu")
_SIZES: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "max_position_embeddings": 200,
}
_BARE = {"bos_token_id": None, "eos_token_id": None}
_MODERN = {"local_attention": 32, "pad_token_id": 1, "cls_token_id": 0, "sep_token_id": 2, **_BARE}
_SHARED = {"num_key_value_heads": 2, "head_dim": 32, **_BARE}
_GEMMA = {
    **_SHARED,
    "use_bidirectional_attention": True,
    "sliding_window": 24,
    "query_pre_attn_scalar": 40,
    "pad_token_id": 0,
}
_LAYERS = {"layer_types": ["sliding_attention", "full_attention"] * 2}
MODELS = {
    "bert": ("Bert", {}),
    "roberta": ("Roberta", {"pad_token_id": 1}),
    "mpnet": ("MPNet", {"pad_token_id": 1}),
    "nomic_bert": ("NomicBert", {}),
    "modernbert": ("ModernBert", _MODERN),
    "modernbert with biases": ("ModernBert", {**_MODERN, "attention_bias": True, "mlp_bias": True, "norm_bias": True}),
    "qwen2": ("Qwen2", {**_SHARED, "head_dim": 16}),
    "qwen3": ("Qwen3", _SHARED),
    "gemma3": ("Gemma3Text", _GEMMA),
}


def saved(folder: Path, kind: str, **options: Any) -> Any:
    """Save a small random model, and return it as transformers opens it."""
    name, given = MODELS[kind]
    config = getattr(transformers, f"{name}Config")(**{**_SIZES, **given, **options})
    torch.manual_seed(0)
    model = getattr(transformers, name.removesuffix("Text") + ("TextModel" if name.endswith("Text") else "Model"))(
        config
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    model.save_pretrained(folder)
    return model.eval()


def config_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return found


def ids_of(lengths: list[int]) -> torch.Tensor:
    return torch.randint(3, 60, (sum(lengths),), generator=torch.Generator().manual_seed(1))


@torch.inference_mode()
def one_by_one(model: Any, ids: torch.Tensor, lengths: list[int]) -> list[torch.Tensor]:
    """States of every layer, each row computed alone, so that there is no padding."""
    found = []
    for row in ids.split(lengths):
        out = model(input_ids=row[None], output_hidden_states=True)
        found.append([*out.hidden_states[:-1], out.last_hidden_state])
    return [torch.cat([layers[i][0] for layers in found]) for i in range(len(found[0]))]


@pytest.mark.parametrize("kind", MODELS)
def test_every_layer_is_that_of_transformers(kind: str, tmp_path: Path) -> None:
    model = saved(tmp_path, kind)
    opened = packed(tmp_path, config_of(tmp_path))
    assert opened is not None
    encoder = opened(tmp_path, CPU, torch.float32)
    assert encoder.depth == 4
    for lengths in (LENGTHS, [3, 40]):
        ids = ids_of(lengths)
        found = encoder(ids, lengths, range(5))
        for i, expected in enumerate(one_by_one(model, ids, lengths)):
            torch.testing.assert_close(found[i], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", MODELS)
def test_bf16_is_near(kind: str, tmp_path: Path) -> None:
    model = saved(tmp_path, kind)
    opened = packed(tmp_path, config_of(tmp_path))
    assert opened is not None
    lengths = [120, 140]
    ids = ids_of(lengths)
    found = opened(tmp_path, CPU, torch.bfloat16)(ids, lengths, [4])[4]
    assert found.dtype == torch.bfloat16
    expected = one_by_one(model, ids, lengths)[-1]
    assert torch.cosine_similarity(found.float(), expected, dim=1).mean() > 0.995


@pytest.mark.parametrize("kind", ["qwen3", "modernbert", "gemma3"])
def test_a_row_never_sees_another(kind: str, tmp_path: Path) -> None:
    saved(tmp_path, kind)
    opened = packed(tmp_path, config_of(tmp_path))
    assert opened is not None
    encoder, ids = opened(tmp_path, CPU, torch.float32), ids_of(LENGTHS)
    together = encoder(ids, LENGTHS, [4])[4].split(LENGTHS)
    for alone, row, length in zip(ids.split(LENGTHS), together, LENGTHS, strict=True):
        torch.testing.assert_close(encoder(alone, [length], [4])[4], row, atol=1e-5, rtol=1e-5)


def test_a_decoder_sees_only_what_stands_before(tmp_path: Path) -> None:
    saved(tmp_path, "qwen3")
    opened = packed(tmp_path, config_of(tmp_path))
    assert opened is not None
    encoder, ids = opened(tmp_path, CPU, torch.float32), ids_of([300])
    changed = ids.clone()
    changed[200:] = 3
    a, b = (encoder(x, [300], [4])[4] for x in (ids, changed))
    assert torch.equal(a[:200], b[:200])
    assert not torch.equal(a[200:], b[200:])


def test_weights_in_several_files_are_those_in_one(tmp_path: Path) -> None:
    model = saved(tmp_path, "qwen3")
    (tmp_path / "parts").mkdir()
    model.save_pretrained(tmp_path / "parts", max_shard_size="60KB")
    assert not (tmp_path / "parts" / "model.safetensors").exists()
    found = []
    for folder in (tmp_path, tmp_path / "parts"):
        opened = packed(folder, config_of(folder))
        assert opened is not None
        found.append(opened(folder, CPU, torch.float32)(ids_of([9]), [9], [4])[4])
    assert torch.equal(*found)
    next((tmp_path / "parts").glob("*.safetensors")).unlink()
    assert packed(tmp_path / "parts", config_of(tmp_path / "parts")) is None


def test_the_names_of_a_language_model_are_read_too(tmp_path: Path) -> None:
    model = saved(tmp_path, "qwen3")
    weights = tmp_path / "model.safetensors"
    save_file({f"model.{name}": tensor for name, tensor in load_file(weights).items()}, weights)
    opened = packed(tmp_path, config_of(tmp_path))
    assert opened is not None
    ids = ids_of([12])
    expected = one_by_one(model, ids, [12])[-1]
    torch.testing.assert_close(opened(tmp_path, CPU, torch.float32)(ids, [12], [4])[4], expected, atol=1e-5, rtol=1e-5)


_SCALED = {"rope_type": "linear", "factor": 2.0, "rope_theta": 10_000.0}


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("bert", {"hidden_act": "gelu_new"}),
        ("bert", {"is_decoder": True}),
        ("mpnet", {"hidden_act": "relu"}),
        ("mpnet", {"relative_attention_num_buckets": 64}),
        ("nomic_bert", {"hidden_act": "gelu"}),
        ("nomic_bert", {"rope_parameters": _SCALED}),
        ("modernbert", {"hidden_activation": "relu"}),
        ("modernbert", {"rope_parameters": {"full_attention": _SCALED}}),
        ("qwen2", {"use_sliding_window": True}),
        ("qwen3", {"layer_types": ["sliding_attention"] * 4}),
        ("qwen3", {"rope_parameters": _SCALED}),
        ("qwen3", {"is_causal": False}),
        ("gemma3", {"use_bidirectional_attention": False}),
        ("gemma3", {"attn_logit_softcapping": 50.0}),
        ("qwen3", {"model_type": "qwen3_moe"}),
    ],
)
def test_what_is_not_computed_exactly_is_left_to_transformers(
    kind: str, changed: dict[str, Any], tmp_path: Path
) -> None:
    saved(tmp_path, kind)
    config = config_of(tmp_path)
    assert packed(tmp_path, config) is not None
    assert packed(tmp_path, {**config, **changed}) is None


def test_code_that_comes_with_a_model_is_what_computes_it_where_that_is_trusted(tmp_path: Path) -> None:
    saved(tmp_path, "qwen2")
    config = {**config_of(tmp_path), "auto_map": {"AutoModel": "modeling.Model"}}
    assert packed(tmp_path, config, trust_remote_code=True) is None
    assert packed(tmp_path, config) is not None


def test_folders_of_before_name_the_bases_of_angles_in_their_own_way(tmp_path: Path) -> None:
    saved(tmp_path, "modernbert", rope_parameters={"full_attention": {"rope_theta": 500.0, "rope_type": "default"}})
    config = config_of(tmp_path)
    new = packed(tmp_path, config)
    older = {key: value for key, value in config.items() if key != "rope_parameters"} | {"global_rope_theta": 500.0}
    older.pop("layer_types")
    assert new is not None
    expected = new(tmp_path, CPU, torch.float32)(ids_of(LENGTHS), LENGTHS, [4])[4]
    (tmp_path / "config.json").write_text(json.dumps(older))
    old = packed(tmp_path, older)
    assert old is not None
    found = old(tmp_path, CPU, torch.float32)(ids_of(LENGTHS), LENGTHS, [4])[4]
    np.testing.assert_array_equal(found, expected)
