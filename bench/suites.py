"""The texts and models of the benchmark: items tables and model folders, from LMCORE_DATA where it is set, else the pipeline's own."""

import json
import os
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lmcore.errors import InputError
from lmcore.models.folder import holds_masked
from lmcore.suites.build import build_suite
from lmcore.tables import ITEMS, items_table, read, scoring_of
from lmcore.text.encoder import TextEncoder

SHAPES: dict[str, dict] = {  # what AutoConfig.for_model takes, but for the tokenizer's ids
    "babyllama58m": {  # Timiryasov & Tastet 2023, https://aclanthology.org/2023.conll-babylm.24
        "model_type": "llama",
        "hidden_size": 512,
        "intermediate_size": 1024,
        "num_hidden_layers": 16,
        "num_attention_heads": 8,
        "max_position_embeddings": 256,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": False,
        "vocab_size": 16_000,
    },
    "gpt2_124m": {"model_type": "gpt2", "vocab_size": 50_257},  # transformers' defaults
    "pythia_160m": {  # Biderman et al. 2023, https://arxiv.org/abs/2304.01373
        "model_type": "gpt_neox",
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "max_position_embeddings": 2048,
        "rotary_pct": 0.25,
        "vocab_size": 50_304,
    },
    "bloom_like": {  # attends by code of its own: the padded forward
        "model_type": "bloom",
        "hidden_size": 768,
        "n_layer": 12,
        "n_head": 12,
        "vocab_size": 50_304,
    },
    "bert_base": {"model_type": "bert", "vocab_size": 30_522},  # transformers' defaults
    "qwen3_like": {
        "model_type": "qwen3",
        "hidden_size": 640,
        "intermediate_size": 1920,
        "num_hidden_layers": 12,
        "num_attention_heads": 10,
        "num_key_value_heads": 2,
        "head_dim": 64,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": True,
        "vocab_size": 50_304,
    },
}
GPT2_END = "<|endoftext|>"
MASKED = {
    "bert_base"
}  # of SHAPES; each token costs a pass over its text, so a part of the texts has to do
MASKED_SHARE = 20
WINDOWS = dict.fromkeys(SHAPES, 1024) | {"smollm2": 1024, "babyllama58m": 256, "bert_base": 128}


def data() -> Path | None:
    """The folder of real benchmarks, where there is one."""
    return Path(os.environ["LMCORE_DATA"]) if os.environ.get("LMCORE_DATA") else None


def make_shapes(tokenizer: Path, judge: Path, out: Path) -> dict[str, Path]:
    """Folders of models with random weights and the vocabulary size of SHAPES: the pipeline's
    tokenizer, or with LMCORE_DATA GPT-2's for those that are built for it; masked LMs have that of the pipeline's `judge`.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM

    from lmcore.models.llama import save_model, token_ids

    gpt2 = _gpt2_tokenizer(data() / "tokenizers" / "gpt2", out / "gpt2") if data() else None
    for name, shape in SHAPES.items():
        torch.manual_seed(0)
        if name in MASKED:
            _need(judge)
            save_model(
                AutoModelForMaskedLM.from_config(AutoConfig.for_model(**shape)).eval(),
                judge,
                out / name,
            )
            continue
        chosen = gpt2 if gpt2 and name != "babyllama58m" else tokenizer
        config = AutoConfig.for_model(**{**token_ids(chosen), **shape})
        save_model(AutoModelForCausalLM.from_config(config).eval(), chosen, out / name)
    return {name: out / name for name in SHAPES}


def suite(name: str, model: Path, window: int, size: int, corpus: Path, items: Path) -> pa.Table:
    """The items table of `blimp`, `swag` or `text`, of `size` pairs, items or tokens.

    Without LMCORE_DATA it is the generated minimal pairs, HellaSwag's SWAG-shaped items or the corpus' text. Raises InputError where the
    pipeline has not made them yet.
    """
    folder = data()
    if name == "text":
        documents = (
            _build(name, {"task": "wikitext2"}, folder, corpus)["target"]
            if folder
            else _documents(corpus)
        )
        return _first_tokens("\n".join(documents.to_pylist()), model, window, size)
    if name == "blimp":
        entry = (
            {"task": "blimp", "limit": size}
            if folder
            else {"task": "minimal_pairs", "n": -(-size // 36), "seed": 0, "limit": size}
        )
    elif folder:
        entry = {"task": "swag_partial", "source": "swag", "limit": size, "bos": "prefix"}
    else:
        table = read(items / "hellaswag_activitynet.parquet", ITEMS)
        chosen = dict.fromkeys(table["item"].to_pylist())
        return table.filter(
            pa.array([item in set(list(chosen)[:size]) for item in table["item"].to_pylist()])
        )
    return _build(name, entry, folder, corpus)


def grown(model: Path, n_tokens: int, length: int) -> pa.Table:
    """Texts of `length` random words each, together about `n_tokens` tokens: no beginnings shared, the same on every machine."""
    tokenizer = TextEncoder(model, 10**9, "prefix", model).tokenizer
    words = sorted(
        word[1:]
        for word in tokenizer.get_vocab()
        if word[:1] == "Ġ" and word[1:].isascii() and word[1:].isalpha()
    )
    draw = random.Random(0)
    texts = [
        " " + " ".join(draw.choices(words, k=length)) for _ in range(max(1, n_tokens // length))
    ]
    return table_of(texts, {"bos": "prefix"})


def is_running_text(items: pa.Table) -> bool:
    """Whether the table holds one long text, after a first one to warm up with."""
    return "window" in scoring_of(items)


def table_of(texts: list[str], scoring: dict) -> pa.Table:
    """The items table of plain texts."""
    rows = [
        {
            "item": f"text/{number:07d}",
            "option": 0,
            "variant": "",
            "group": "text",
            "context": "",
            "target": text,
            "gold": True,
        }
        for number, text in enumerate(texts)
    ]
    return items_table(rows, scoring)


def _gpt2_tokenizer(source: Path, out: Path) -> Path | None:
    """GPT-2's tokenizer as a folder with tokenizer.json, from its vocab.json and merges.txt; None where these are not there."""
    from tokenizers import ByteLevelBPETokenizer

    if not (source / "vocab.json").exists():
        return None
    out.mkdir(parents=True)
    tokenizer = ByteLevelBPETokenizer.from_file(
        str(source / "vocab.json"), str(source / "merges.txt")
    )
    tokenizer.add_special_tokens([GPT2_END])
    tokenizer.save(str(out / "tokenizer.json"))
    named = {"tokenizer_class": "GPT2Tokenizer", "bos_token": GPT2_END, "eos_token": GPT2_END}
    (out / "tokenizer_config.json").write_text(json.dumps(named))
    return out


def _first_tokens(text: str, model: Path, window: int, size: int) -> pa.Table:
    """A table of two items: a few windows of the text, to warm up with, and its first `size` tokens."""
    whole = table_of([text], {})
    (encoded,) = TextEncoder(model, 10**9, "prefix", model, holds_masked(model)).encode(whole)
    if len(encoded.ends) < size:
        raise InputError(
            f"the running text has {len(encoded.ends)} tokens; the benchmark needs {size}"
        )
    few = min(4 * window, size) - 1
    return table_of(
        [text[: encoded.ends[few]], text[: encoded.ends[size - 1]]],
        {"bos": "prefix", "window": window},
    )


def _documents(corpus: Path) -> pa.ChunkedArray:
    _need(corpus / "train.parquet")
    return pq.read_table(corpus / "train.parquet", columns=["text"])["text"]


def _need(path: Path) -> None:
    if not path.exists():
        raise InputError(
            f"{path}: not there; run the pipeline first, or set LMCORE_DATA to a folder of benchmarks"
        )


def _build(name: str, entry: dict, folder: Path | None, corpus: Path) -> pa.Table:
    _need(folder or corpus)
    return build_suite(name, entry, folder or corpus, corpus)
