"""The texts and models of the benchmark: items tables and model folders.

They come from LMCORE_DATA where it is set, and from the pipeline otherwise.
"""

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

# What AutoConfig.for_model takes, except for the ids of the tokenizer
SHAPES: dict[str, dict] = {
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
    "bloom_like": {  # its attention has code of its own, so it takes the padded forward
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
# The masked LMs of SHAPES. Each token costs them a pass over its text, so they get only one of
# MASKED_SHARE texts.
MASKED = {"bert_base"}
MASKED_SHARE = 20
N_PARADIGMS = 36  # of the generated minimal pairs
WINDOWS = dict.fromkeys(SHAPES, 1024) | {"smollm2": 1024, "babyllama58m": 256, "bert_base": 128}


def data() -> Path | None:
    """The folder of real benchmarks, where there is one."""
    return Path(os.environ["LMCORE_DATA"]) if os.environ.get("LMCORE_DATA") else None


def make_shapes(tokenizer: Path, judge: Path, out: Path) -> dict[str, Path]:
    """Make the folders of models with random weights, with the vocabulary sizes of SHAPES.

    Returns the folder of each shape. The models have the pipeline's tokenizer; with LMCORE_DATA,
    those that are built for GPT-2's tokenizer have that one. Masked LMs have the tokenizer of the
    pipeline's `judge`.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM

    from lmcore.models.llama import save_model, token_ids

    gpt2 = _gpt2_tokenizer(data() / "tokenizers" / "gpt2", out / "gpt2") if data() else None
    for name, shape in SHAPES.items():
        torch.manual_seed(0)
        if name in MASKED:
            _need(judge)
            model = AutoModelForMaskedLM.from_config(AutoConfig.for_model(**shape)).eval()
            save_model(model, judge, out / name)
            continue
        chosen = gpt2 if gpt2 and name != "babyllama58m" else tokenizer
        config = AutoConfig.for_model(**{**token_ids(chosen), **shape})
        save_model(AutoModelForCausalLM.from_config(config).eval(), chosen, out / name)
    return {name: out / name for name in SHAPES}


def suite(name: str, model: Path, window: int, size: int, corpus: Path, items: Path) -> pa.Table:
    """The items table of `blimp`, `swag` or `text`, of `size` pairs, items or tokens.

    Without LMCORE_DATA they are the generated minimal pairs, HellaSwag's SWAG-shaped items, or the
    text of the corpus. Raises InputError where the pipeline has not made them yet.
    """
    folder = data()
    if name == "text":
        if folder:
            documents = _build(name, {"task": "wikitext2"}, folder, corpus)["target"]
        else:
            documents = _documents(corpus)
        return _first_tokens("\n".join(documents.to_pylist()), model, window, size)
    if name == "swag" and not folder:
        return _first_items(read(items / "hellaswag_activitynet.parquet", ITEMS), size)
    entry: dict
    if name == "swag":
        entry = {"task": "swag_partial", "source": "swag", "limit": size, "bos": "prefix"}
    elif folder:
        entry = {"task": "blimp", "limit": size}
    else:
        n_per_paradigm = -(-size // N_PARADIGMS)  # rounded up
        entry = {"task": "minimal_pairs", "n": n_per_paradigm, "seed": 0, "limit": size}
    return _build(name, entry, folder, corpus)


def _first_items(table: pa.Table, n: int) -> pa.Table:
    """The rows of the first `n` items."""
    names = table["item"].to_pylist()
    chosen = set(list(dict.fromkeys(names))[:n])
    return table.filter(pa.array([name in chosen for name in names]))


def grown(model: Path, n_tokens: int, length: int) -> pa.Table:
    """Texts of `length` random words each, together about `n_tokens` tokens.

    The texts share no beginnings, and are the same on every machine.
    """
    tokenizer = TextEncoder(model, 10**9, "prefix", model).tokenizer
    words = []
    for token in tokenizer.get_vocab():
        word = token[1:]
        if token.startswith("Ġ") and word.isascii() and word.isalpha():
            words.append(word)
    words.sort()
    draw = random.Random(0)
    texts = []
    for _ in range(max(1, n_tokens // length)):
        texts.append(" " + " ".join(draw.choices(words, k=length)))
    return table_of(texts, {"bos": "prefix"})


def is_running_text(items: pa.Table) -> bool:
    """Whether the table holds one long text, after a first text to warm up with."""
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
    """GPT-2's tokenizer as a folder with tokenizer.json, from its vocab.json and merges.txt.

    None where these files are not there.
    """
    from tokenizers import ByteLevelBPETokenizer

    if not (source / "vocab.json").exists():
        return None
    out.mkdir(parents=True)
    tokenizer = ByteLevelBPETokenizer.from_file(
        str(source / "vocab.json"), str(source / "merges.txt")
    )
    tokenizer.add_special_tokens([GPT2_END])
    tokenizer.save(str(out / "tokenizer.json"))
    config = {"tokenizer_class": "GPT2Tokenizer", "bos_token": GPT2_END, "eos_token": GPT2_END}
    (out / "tokenizer_config.json").write_text(json.dumps(config))
    return out


def _first_tokens(text: str, model: Path, window: int, size: int) -> pa.Table:
    """A table of two items: a few windows of the text, to warm up with, and its first tokens.

    `size` is the number of these tokens. Raises InputError where the text has fewer.
    """
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
    """The texts of the corpus' train split."""
    _need(corpus / "train.parquet")
    return pq.read_table(corpus / "train.parquet", columns=["text"])["text"]


def _need(path: Path) -> None:
    """Raises InputError where there is no such file or folder."""
    if not path.exists():
        raise InputError(
            f"{path}: not there; run the pipeline first, "
            "or set LMCORE_DATA to a folder of benchmarks"
        )


def _build(name: str, entry: dict, folder: Path | None, corpus: Path) -> pa.Table:
    """The suite of this entry of params.yaml, from `folder`, or else from the corpus."""
    _need(folder or corpus)
    return build_suite(name, entry, folder or corpus, corpus)
