"""What a GGUF file says about splitting texts and scaling rotary angles.

transformers' own reader of GGUF leaves these two out. The metadata of the file go in. The
pre-tokenizer, or the keys that change the model's config, come out. Whatever is not known to be
right is refused by name.

Source: llama.cpp, src/llama-vocab.cpp, `llama_vocab::impl::load` (names) and `llm_tokenizer_bpe`
(how each splits), https://github.com/ggml-org/llama.cpp; and the tokenizer.json of the published
models.
"""

import json
from pathlib import Path
from typing import Any

from gguf import GGUFReader
from tokenizers import Tokenizer, pre_tokenizers

from lmcore.errors import InputError
from lmcore.files import refuse_lfs_pointer

# The next three sets are values of `tokenizer.ggml.pre` for byte-level BPE.
# These split texts with GPT-2's expression as it stands:
GPT2 = {
    "gpt-2",
    "phi-2",
    "gigachat",
    "a.x-4.0",
    "mellum",
    "exaone4",
    "mpt",
    "olmo",
    "jais",
    "trillion",
    "granite-docling",
}
# These first set every digit apart, then use GPT-2's expression:
SINGLE_DIGITS = {
    "smollm",
    "starcoder",
    "refact",
    "command-r",
    "codeshell",
    "exaone",
    "minerva-7b",
    "mellum2",
}
# These use an expression that transformers' reader knows and sets:
SET_BY_TRANSFORMERS = {
    "llama3",
    "llama-v3",
    "llama-bpe",
    "falcon3",
    "falcon-h1",
    "pixtral",
    "midm-2.0",
    "lfm2",
    "dbrx",
    "smaug-bpe",
    "qwen2",
    "deepseek-r1-qwen",
    "kormo",
    "megrez",
    "qwen35",
    "tekken",
    "gpt-4o",
    "llama4",
    "kanana2",
}
# Keys of an architecture that change no number: what they say also stands in a key that
# transformers reads, or it has no effect.
HARMLESS = {
    "vocab_size",
    "attention.key_length",
    "attention.value_length",
    "tensor_data_layout",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scale_linear",
    "rope.scaling.finetuned",
    "rope.scaling.original_context_length",
    "use_parallel_residual",
    "attention.causal",
}


def find_gguf(name: str, folder: Path) -> Path | None:
    """The GGUF file of a folder, None where there is none. Raises InputError for several.

    name: how the error calls the model.
    """
    files = sorted(folder.glob("*.gguf"))
    if len(files) > 1:
        names = ", ".join(file.name for file in files[:4])
        raise InputError(
            f"{name}: the members match {len(files)} GGUF files ({names}); "
            "name the one that is meant"
        )
    return files[0] if files else None


def read_metadata(file: Path) -> dict[str, Any]:
    """The metadata of a GGUF file without its long lists, its `tensors` by name and its `n_tokens`.

    Raises InputError for a file that is no GGUF file.
    """
    refuse_lfs_pointer(file)
    try:
        reader = GGUFReader(file)
        metadata = {
            name: field.contents() for name, field in reader.fields.items() if len(field.data) <= 64
        }
        tokens = reader.fields.get("tokenizer.ggml.tokens")
        metadata["tensors"] = {tensor.name for tensor in reader.tensors}
        metadata["n_tokens"] = len(tokens.data) if tokens else 0
        return metadata
    except Exception as error:  # the reader trusts every offset, so a damaged file fails anywhere
        lines = str(error).splitlines() or [type(error).__name__]
        raise InputError(f"{file}: not a readable GGUF file: {lines[0]}") from error


def rope_scaling(metadata: dict[str, Any], file: Path) -> dict[str, Any]:
    """The keys that the file's scaling of rotary angles adds to `rope_parameters`.

    There are none where the file scales nothing. Raises InputError for any but a linear scaling.
    """
    architecture = metadata["general.architecture"]
    kind = metadata.get(f"{architecture}.rope.scaling.type", "none")
    factor = metadata.get(
        f"{architecture}.rope.scaling.factor", metadata.get(f"{architecture}.rope.scale_linear")
    )
    if architecture in ("gpt-oss", "gpt_oss"):  # transformers reads its scaling itself
        return {}
    if "rope_freqs.weight" in metadata["tensors"]:
        raise InputError(
            f"{file}: the tensor 'rope_freqs.weight' scales rotary angles, "
            "which is not supported; import the safetensors"
        )
    if kind == "none" and factor in (None, 0, 1):
        return {}
    if kind not in ("none", "linear") or not factor:
        raise InputError(
            f"{file}: '{architecture}.rope.scaling.type' is '{kind}'; "
            "only linear is supported: import the safetensors"
        )
    return {"rope_type": "linear", "factor": float(factor)}


def refuse_unread(metadata: dict[str, Any], read: set[str], file: Path) -> None:
    """Raises InputError for a key of the architecture that nobody reads and that may matter.

    read: the keys that transformers reads. Keys in HARMLESS and keys that are off may be unread.
    """
    prefix = f"{metadata['general.architecture']}."
    for name, value in metadata.items():
        if not name.startswith(prefix):
            continue
        key = name.removeprefix(prefix)
        is_off = value in (0, "", None)
        if key not in read and key not in HARMLESS and not is_off:
            raise InputError(
                f"{file}: the key '{name}' is not supported; import the model's safetensors instead"
            )


def set_pre_tokenizer(tokenizer: Tokenizer, metadata: dict[str, Any], file: Path) -> None:
    """Let `tokenizer` split texts as the file's `tokenizer.ggml.pre` says.

    tokenizer: as transformers made it from this file. Raises InputError for a byte-level BPE that
    names no pre-tokenizer, or one that is not known here.
    """
    if metadata.get("tokenizer.ggml.model") != "gpt2":  # SentencePiece: there is nothing to split
        return
    pre = metadata.get("tokenizer.ggml.pre")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if pre in SINGLE_DIGITS:
        digits = pre_tokenizers.Digits(individual_digits=True)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, byte_level])
    elif pre in GPT2:
        tokenizer.pre_tokenizer = byte_level
    elif pre not in SET_BY_TRANSFORMERS:
        known = ", ".join(sorted(GPT2 | SINGLE_DIGITS | SET_BY_TRANSFORMERS))
        raise InputError(
            f"{file}: 'tokenizer.ggml.pre' is {pre!r}: how it splits text is not known; "
            f"expected {known}"
        )


def drop_invented_tokens(folder: Path, n_tokens: int) -> None:
    """Remove from a saved tokenizer the tokens that its class added to those of the file.

    n_tokens: how many tokens the GGUF file has; the ids of the added ones begin there. The GPT-2
    class of transformers adds <|endoftext|> to any vocabulary that lacks it.
    """
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text("utf-8"))
    invented = {token["content"] for token in content["added_tokens"] if token["id"] >= n_tokens}
    if not invented:
        return
    content["added_tokens"] = [
        token for token in content["added_tokens"] if token["content"] not in invented
    ]
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2), "utf-8")
    path = folder / "tokenizer_config.json"
    config = {
        key: value
        for key, value in json.loads(path.read_text("utf-8")).items()
        if not isinstance(value, str) or value not in invented
    }
    path.write_text(
        json.dumps(config, ensure_ascii=False, indent=2, sort_keys=True) + "\n", "utf-8"
    )
