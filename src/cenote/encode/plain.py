"""Any transformer that transformers knows, behind the same packed interface: padded only while it is computed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the bars that transformers draws for files that are read and written off stderr."""
    from transformers.utils import logging

    drawn = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if drawn:
            logging.enable_progress_bar()


def transformer_of(
    folder: Path, dtype: torch.dtype, trust_remote_code: bool = False, attention: str | None = None
) -> Any:
    """Open the model of transformers that makes states of a folder's tokens: of an encoder with a decoder, the first.

    attention: the implementation by transformers' name; its own choice without one.
    Raises ValueError where the folder holds no safetensors weights: nothing else is opened.
    """
    from transformers import MODEL_FOR_TEXT_ENCODING_MAPPING, AutoConfig, AutoModel, AutoModelForTextEncoding

    try:
        known = AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=trust_remote_code)
        # of a T5 this is the encoder alone, which is all that such a folder may hold
        kind = AutoModelForTextEncoding if type(known) in MODEL_FOR_TEXT_ENCODING_MAPPING else AutoModel
        with quiet():
            model: Any = kind.from_pretrained(
                str(folder),
                dtype=dtype,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=trust_remote_code,
                attn_implementation=attention,
            )
    except OSError as error:
        raise ValueError(
            f"{folder} cannot be opened as a transformers model with safetensors weights: {error}"
        ) from None
    has_decoder = getattr(model, "decoder", None) is not None and model.config.get_text_config().is_encoder_decoder
    return (model.get_encoder() if has_decoder else model).eval()


class PlainTransformer:
    """The encoder of a transformers folder (config.json, *.safetensors) in one type on one device.

    Raises ValueError where the folder holds no safetensors weights: nothing else is opened.
    """

    computed_by = "transformers, in padded batches"
    concurrent = False

    def __init__(self, folder: Path, device: torch.device, dtype: torch.dtype, trust_remote_code: bool = False) -> None:
        model = transformer_of(folder, dtype, trust_remote_code)
        config = model.config.get_text_config()
        self._model = model.to(device)
        self.device = device
        self.dim: int = config.hidden_size
        self.depth: int = config.num_hidden_layers

    @torch.inference_mode()
    def __call__(self, ids: Tensor, lengths: list[int], layers: Collection[int]) -> dict[int, Tensor]:
        """Return {layer: (M, D)} for ids (M,) of rows with `lengths`."""
        sizes = torch.tensor(lengths, device=self.device)
        real = torch.arange(max(lengths, default=0), device=self.device)[None, :] < sizes[:, None]
        padded = torch.zeros(real.shape, dtype=torch.int64, device=self.device)
        padded[real] = ids
        every = set(layers) != {self.depth}
        out = self._model(input_ids=padded, attention_mask=real.long(), output_hidden_states=every)
        found = {i: out.hidden_states[i][real] for i in layers if i != self.depth}
        if self.depth in layers:
            found[self.depth] = out.last_hidden_state[real]
        return found
