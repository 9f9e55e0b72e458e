"""The one door for model folders: config.json, model.safetensors, tokenizer.json, tokenizer_config.json.

The path of such a folder goes in; a transformers model in evaluation mode, its checked config, or its
fast tokenizer come out. The controls of this project (dummy, unigram) are model classes of our own;
every other `model_type` is transformers'. What is not wholly understood is refused in one line:
weights that are missing, left over or not finite, a model that is not causal. Code that lies in a
folder is never run, and nothing is asked.
"""

import contextlib
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lmcore.errors import InputError
from lmcore.models.folder import is_masked, read_any_config, read_causal_config, read_config
from lmcore.models.weights import place_of_weights, refuse_untied, tensors

PREFIXES = ("_orig_mod.", "module.")  # of torch.compile and of DistributedDataParallel
SPARE_PARAMETERS = 1_000_000  # by which a config may describe more than twice what the files hold
CAUSAL_TOLERANCE = 1e-4  # nats, for each nat of the largest log-prob
N_PROBE = 12  # tokens of the text that is read whole and cut in half


def load_any(path: Path) -> Any:
    """The language model of a folder, causal or masked; raises InputError as load_model and load_masked."""
    return load_masked(path) if is_masked(read_config(path)) else load_model(path)


def load_masked(path: Path) -> Any:
    """The masked LM of a model folder as a transformers model in float32 and evaluation mode.

    Raises InputError as `read_config`, and for tensors that are missing, left over, of another shape or not finite.
    """
    import torch
    from transformers import AutoModelForMaskedLM

    config = read_config(path)
    if not is_masked(config):
        raise InputError(
            f"{path / 'config.json'}: 'architectures' names no masked LM; expected a class like BertForMaskedLM"
        )
    model = _loaded(AutoModelForMaskedLM, path, torch.float32)
    check_finite(model, place_of_weights(path))
    return model.eval()


def load_model(path: Path, dtype: str = "float32") -> Any:
    """The causal LM of a model folder as a transformers model, in `dtype` and evaluation mode.

    Raises InputError as `read_config`, and for tensors that are missing, left over, of another shape or
    not finite, for a model whose log-probs depend on what follows, and for a masked LM.
    """
    import torch

    kind = read_causal_config(path)["model_type"]
    if kind == "lmcore_dummy":
        from lmcore.models.dummy import DummyForCausalLM

        return DummyForCausalLM.load(path).eval()
    if kind == "lmcore_unigram":
        from lmcore.models.unigram import UnigramForCausalLM

        model: Any = _loaded(UnigramForCausalLM, path, torch.float32)
    else:
        from transformers import AutoModelForCausalLM

        model = _loaded(AutoModelForCausalLM, path, getattr(torch, dtype))
        head = model.get_output_embeddings()
        if model.config.tie_word_embeddings and head is not None:
            refuse_untied(path, head.weight is model.get_input_embeddings().weight)
    check_finite(model, place_of_weights(path))
    check_causal(model, path)
    return model.eval()


def load_tokenizer(path: Path):
    """The fast tokenizer of a model folder, with its special tokens as transformers knows them."""
    from transformers import PreTrainedTokenizerFast

    read_any_config(path)
    with one_line(path, "its tokenizer"):
        return PreTrainedTokenizerFast.from_pretrained(
            path, local_files_only=True, trust_remote_code=False
        )


def _loaded(kind: Any, path: Path, dtype: Any) -> Any:
    """The model of the folder by the class `kind` of transformers, every tensor accounted for."""
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    with one_line(path, "the model"):
        if not hasattr(kind, "forward"):  # an Auto class
            _refuse_other_size(kind, path)
        options = {
            "dtype": dtype,
            "use_safetensors": True,
            "local_files_only": True,
            "trust_remote_code": False,
        }
        model, report = kind.from_pretrained(
            path, **options, ignore_mismatched_sizes=True, output_loading_info=True
        )
    refuse_gaps(report, place_of_weights(path))
    return model


def refuse_gaps(report: dict, weights: Path) -> None:
    """Raises InputError where transformers filled tensors in, left some out, or found other shapes.

    weights: the file to name; report: its `output_loading_info`, without what the architecture declares to be dispensable.
    """
    missing, unexpected = sorted(report["missing_keys"]), sorted(report["unexpected_keys"])
    for prefix in PREFIXES:
        renamed = [name for name in unexpected if name.startswith(prefix)]
        if renamed:
            raise InputError(
                f"{weights}: the tensor '{renamed[0]}' is called so by a wrapper; save the weights without '{prefix}'"
            )
    mismatched = sorted(report["mismatched_keys"])
    if mismatched:
        name, found, wanted = mismatched[0]
        raise InputError(
            f"{weights}: the tensor '{name}' has shape {tuple(found)}; config.json describes {tuple(wanted)}"
        )
    if missing:
        raise InputError(
            f"{weights}: lacks {_several(missing)}, which config.json's architecture has"
        )
    if unexpected:
        raise InputError(
            f"{weights}: holds {_several(unexpected)}, which config.json's architecture does not have"
        )
    if report.get("error_msgs"):
        raise InputError(f"{weights}: does not load: {report['error_msgs'][0].splitlines()[0]}")


def _several(names: list[str]) -> str:
    more = f" and {len(names) - 1} more tensors" if len(names) > 1 else ""
    return f"'{names[0]}'{more}"


def _refuse_other_size(kind: Any, path: Path) -> None:
    """Refuse a config that describes far more parameters than there are, before they are allocated."""
    import torch
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    with torch.device("meta"):
        described = sum(tensor.numel() for tensor in kind.from_config(config).parameters())
    held = sum(math.prod(tensor.shape) for tensor in tensors(path).values())
    if described > 2 * held + SPARE_PARAMETERS:
        raise InputError(
            f"{path}: config.json describes {described:,} parameters, the weights hold {held:,}"
        )


def check_finite(model: Any, weights: Path) -> None:
    """Raises InputError for weights that are not finite, naming the file `weights` and the tensor."""
    import torch

    for name, tensor in model.named_parameters():
        if not torch.isfinite(tensor).all():
            raise InputError(
                f"{weights}: the tensor '{name}' holds NaN or infinity; such a model says nothing"
            )


def check_causal(model: Any, path: Path) -> None:
    """Raises InputError where a token's log-probs change with what follows it."""
    import torch

    ids = (torch.arange(1, N_PROBE + 1) * 7919 % model.config.vocab_size)[None]
    was_training = model.training
    with torch.inference_mode(), one_line(path, "the model's forward pass"):
        model.eval()
        whole, half = (
            model(input_ids=part, attention_mask=torch.ones_like(part), use_cache=False)
            .logits.float()
            .log_softmax(-1)
            for part in (ids, ids[:, : N_PROBE // 2])
        )
        model.train(was_training)
        moved = (whole[:, : N_PROBE // 2] - half).abs().max().item()
        largest = half.abs().max().item()
    coarse = 1.0 if model.dtype == torch.float32 else 1e3  # bfloat16 rounds to three digits
    if not math.isfinite(moved):
        raise InputError(
            f"{path}: the model's log-probs are not finite; its weights are out of range"
        )
    if moved > CAUSAL_TOLERANCE * coarse * max(1.0, largest):
        raise InputError(
            f"{path}: no causal language model: the log-probs of its tokens change by {moved:.2g} nats with what follows them"
        )


@contextlib.contextmanager
def one_line(path: Path, what: str) -> Iterator[None]:
    """Whatever a library makes of a folder that it cannot read, as an InputError of one line.

    The folder is somebody else's and the library may fail over it anywhere, so any exception is meant;
    what it prints besides is dropped.
    """
    import transformers

    verbosity = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    except (InputError, KeyboardInterrupt, MemoryError):
        raise
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(f"{path}: {what} cannot be loaded: {lines[0]}") from error
    finally:
        transformers.logging.set_verbosity(verbosity)
