"""Small random models, saved as sentence-transformers and transformers save theirs."""

import string
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

TEXTS = [
    "the quick brown fox jumps over the lazy dog",
    "Sphinx of black quartz, judge my vow!",
    "",
    "  white space before and behind \n",
    "naïve café, 中文 and 😀",
    "a",
    "pack my box with five dozen liquor jugs " * 12,
    "how vexingly quick daft zebras jump; " * 3,
]
WINDOW = 48
_VOCABULARY = 400
_SIZES = {
    "vocab_size": _VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 66,
}


def word_pieces() -> Any:
    """A tokenizer as BERT has it: every other word whole, the rest in letters."""
    normalizer, split = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    words = sorted({word for text in TEXTS for word, _ in split.pre_tokenize_str(normalizer.normalize_str(text))})
    letters = sorted({*string.ascii_lowercase, *"".join(words)})
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = dict.fromkeys([*specials, *letters, *(f"##{letter}" for letter in letters), *words[::2], "fox"])
    fast = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    fast.normalizer, fast.pre_tokenizer = normalizer, split
    fast.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=fast, model_max_length=64, **names)


def byte_pieces() -> Any:
    """A tokenizer as RoBERTa has it."""
    fast = Tokenizer(models.BPE())
    fast.pre_tokenizer, fast.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    specials, alphabet = ["<s>", "<pad>", "</s>", "<unk>"], pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=_VOCABULARY, special_tokens=specials, initial_alphabet=alphabet)
    fast.train_from_iterator(TEXTS, trainer)
    fast.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    names = {"pad_token": "<pad>", "unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=fast, model_max_length=64, **names)


def _bert() -> Any:
    return transformers.BertModel(transformers.BertConfig(**_SIZES))


def _bert_of_another_activation() -> Any:
    return transformers.BertModel(transformers.BertConfig(**_SIZES, hidden_act="gelu_new"))


def _distilbert() -> Any:
    sizes = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "max_position_embeddings": 66}
    return transformers.DistilBertModel(transformers.DistilBertConfig(vocab_size=_VOCABULARY, **sizes))


def _roberta() -> Any:
    return transformers.RobertaModel(transformers.RobertaConfig(**_SIZES, pad_token_id=1))


def _mpnet() -> Any:
    return transformers.MPNetModel(transformers.MPNetConfig(**_SIZES, pad_token_id=1))


def _modernbert() -> Any:
    options = {"pad_token_id": 1, "cls_token_id": 0, "sep_token_id": 2, "local_attention": 16}
    return transformers.ModernBertModel(transformers.ModernBertConfig(**_SIZES, **options))


def _t5() -> Any:
    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4, "pad_token_id": 1}
    return transformers.T5EncoderModel(transformers.T5Config(vocab_size=_VOCABULARY, **sizes))


def _qwen3() -> Any:
    options = {"num_key_value_heads": 2, "head_dim": 8, "pad_token_id": 1}
    return transformers.Qwen3Model(transformers.Qwen3Config(**_SIZES, **options))


KINDS: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "bert": (_bert, word_pieces),
    "bert gelu_new": (_bert_of_another_activation, word_pieces),
    "distilbert": (_distilbert, word_pieces),
    "roberta": (_roberta, byte_pieces),
    "mpnet": (_mpnet, byte_pieces),
    "modernbert": (_modernbert, byte_pieces),
    "t5": (_t5, byte_pieces),
    "qwen3": (_qwen3, byte_pieces),
}


def save_transformer(folder: Path, kind: str = "bert") -> Path:
    """Save a bare transformer with its tokenizer, as transformers does."""
    make, tokenizer = KINDS[kind]
    torch.manual_seed(0)
    model = make().eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def save(
    folder: Path,
    kind: str = "bert",
    *,
    pooling: Any = "mean",
    heads: Sequence[Any] = (Normalize(),),
    include_prompt: bool = True,
    **options: Any,
) -> SentenceTransformer:
    """Save a model as sentence-transformers does, and return it as sentence-transformers opens it."""
    transformer = Transformer(str(save_transformer(folder / "raw", kind)), max_seq_length=WINDOW)
    pool = Pooling(32, pooling, include_prompt=include_prompt)
    SentenceTransformer(modules=[transformer, pool, *heads], device="cpu", **options).save(str(folder / "saved"))
    return SentenceTransformer(str(folder / "saved"), device="cpu")
