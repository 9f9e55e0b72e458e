"""Load model folders: config.json, model.safetensors, tokenizer.json, tokenizer_config.json.

Every language model that is scored is loaded here. The path of a folder goes in. A transformers
model in evaluation mode, or its fast tokenizer, comes out. The controls of this project (dummy,
unigram) are model classes of our own; every other `model_type` is one of transformers'.

What is not fully understood is refused with a message of one line: weights that are missing, left
over or not finite, and a model that is not causal. Code in a folder is never run, and the user is
never asked anything.
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

# prefixes that wrappers give to tensor names: torch.compile and DistributedDataParallel
PREFIXES = ("_orig_mod.", "module.")
# how many parameters beyond twice those of the weights a config may describe
SPARE_PARAMETERS = 1_000_000
# nats by which log-probs may change with what follows, for each nat of the largest log-prob
CAUSAL_TOLERANCE = 1e-4
# tokens of the probe text of `check_causal`, which is read as a whole and cut in half
N_PROBE = 12


def load_any(path: Path) -> Any:
    """The language model of a folder, causal or masked.

    Raises InputError as `load_model` and `load_masked`.
    """
    return load_masked(path) if is_masked(read_config(path)) else load_model(path)


def load_masked(path: Path) -> Any:
    """The masked LM of a model folder as a transformers model in float32 and evaluation mode.

    Raises InputError as `read_config`, and for tensors that are missing, left over, of another
    shape or not finite.
    """
    import torch
    from transformers import AutoModelForMaskedLM

    config = read_config(path)
    if not is_masked(config):
        raise InputError(
            f"{path / 'config.json'}: 'architectures' names no masked LM; "
            "expected a class like BertForMaskedLM"
        )
    model = _load(AutoModelForMaskedLM, path, torch.float32)
    check_finite(model, place_of_weights(path))
    return model.eval()


def load_model(path: Path, dtype: str = "float32") -> Any:
    """The causal LM of a model folder as a transformers model, in `dtype` and evaluation mode.

    Raises InputError as `read_config`, and for tensors that are missing, left over, of another
    shape or not finite, for a model whose log-probs depend on what follows, and for a masked LM.
    """
    import torch

    model_type = read_causal_config(path)["model_type"]
    if model_type == "lmcore_dummy":
        from lmcore.models.dummy import DummyForCausalLM

        return DummyForCausalLM.load(path).eval()
    if model_type == "lmcore_unigram":
        from lmcore.models.unigram import UnigramForCausalLM

        model: Any = _load(UnigramForCausalLM, path, torch.float32)
    else:
        from transformers import AutoModelForCausalLM

        model = _load(AutoModelForCausalLM, path, getattr(torch, dtype))
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


def _load(model_class: Any, path: Path, dtype: Any) -> Any:
    """The model of the folder as `model_class` loads it.

    model_class: a model class, or an Auto class of transformers. Raises InputError unless every
    tensor is accounted for.
    """
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    with one_line(path, "the model"):
        is_auto_class = not hasattr(model_class, "forward")
        if is_auto_class:
            _refuse_own_code(path)
            _refuse_other_size(model_class, path)
        options = {
            "dtype": dtype,
            "use_safetensors": True,
            "local_files_only": True,
            "trust_remote_code": False,
        }
        model, report = model_class.from_pretrained(
            path, **options, ignore_mismatched_sizes=True, output_loading_info=True
        )
    refuse_gaps(report, place_of_weights(path))
    return model


def refuse_gaps(report: dict, weights: Path) -> None:
    """Raises InputError where transformers filled tensors in, left some out, or met other shapes.

    weights: the file that the error names. report: the `output_loading_info` of from_pretrained,
    which leaves out what the architecture declares to be dispensable.
    """
    missing, unexpected = sorted(report["missing_keys"]), sorted(report["unexpected_keys"])
    _refuse_wrapped_names(unexpected, weights)
    mismatched = sorted(report["mismatched_keys"])
    if mismatched:
        name, shape, expected_shape = mismatched[0]
        raise InputError(
            f"{weights}: the tensor '{name}' has shape {tuple(shape)}; "
            f"config.json describes {tuple(expected_shape)}"
        )
    if missing:
        raise InputError(
            f"{weights}: lacks {_several(missing)}, which config.json's architecture has"
        )
    if unexpected:
        raise InputError(
            f"{weights}: holds {_several(unexpected)}, "
            "which config.json's architecture does not have"
        )
    if report.get("error_msgs"):
        raise InputError(f"{weights}: does not load: {report['error_msgs'][0].splitlines()[0]}")


def _refuse_wrapped_names(unexpected: list[str], weights: Path) -> None:
    """Raises InputError for tensor names with a prefix of PREFIXES, which a wrapper adds."""
    for prefix in PREFIXES:
        renamed = [name for name in unexpected if name.startswith(prefix)]
        if renamed:
            raise InputError(
                f"{weights}: the name of the tensor '{renamed[0]}' begins with '{prefix}', which "
                "torch.compile or a parallel wrapper adds; save the weights without it"
            )


def _several(names: list[str]) -> str:
    """The first name, and how many more there are."""
    more = f" and {len(names) - 1} more tensors" if len(names) > 1 else ""
    return f"'{names[0]}'{more}"


def _refuse_own_code(path: Path) -> None:
    """Raises InputError for an architecture whose code is in the folder and not in transformers."""
    from transformers import CONFIG_MAPPING

    config = read_any_config(path)
    classes = config.get("auto_map")
    if isinstance(classes, dict) and config["model_type"] not in CONFIG_MAPPING:
        names = ", ".join(sorted({str(name) for name in classes.values()}))
        raise InputError(
            f"{path / 'config.json'}: its model is own code ({names}), and code in a model folder"
            " is never run; save the model as a class of transformers that computes the same, such"
            " as LlamaForCausalLM or BertForMaskedLM, with the tensors renamed"
        )


def _refuse_other_size(auto_class: Any, path: Path) -> None:
    """Refuse a config that describes far more parameters than the weights hold.

    This is checked before any of them is allocated. Raises InputError.
    """
    import torch
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    with torch.device("meta"):
        described = sum(tensor.numel() for tensor in auto_class.from_config(config).parameters())
    held = sum(math.prod(tensor.shape) for tensor in tensors(path).values())
    if described > 2 * held + SPARE_PARAMETERS:
        raise InputError(
            f"{path}: config.json describes {described:,} parameters, the weights hold {held:,}"
        )


def check_finite(model: Any, weights: Path) -> None:
    """Raises InputError for weights that are not finite.

    The error names the file `weights` and the tensor.
    """
    import torch

    for name, tensor in model.named_parameters():
        if not torch.isfinite(tensor).all():
            raise InputError(
                f"{weights}: the tensor '{name}' holds NaN or infinity; expected finite weights"
            )


def check_causal(model: Any, path: Path) -> None:
    """Raises InputError where a token's log-probs change with what follows it.

    A probe text is read twice, as a whole and only its first half. In a causal model the log-probs
    of the first half are the same.
    """
    import torch

    ids = (torch.arange(1, N_PROBE + 1) * 7919 % model.config.vocab_size)[None]
    was_training = model.training
    with torch.inference_mode(), one_line(path, "the model's forward pass"):
        model.eval()
        whole = _log_probs(model, ids)
        half = _log_probs(model, ids[:, : N_PROBE // 2])
        model.train(was_training)
        change = (whole[:, : N_PROBE // 2] - half).abs().max().item()
        largest = half.abs().max().item()
    coarse = 1.0 if model.dtype == torch.float32 else 1e3  # bfloat16 rounds to three digits
    if not math.isfinite(change):
        raise InputError(
            f"{path}: the model's log-probs of a test text are not finite; its weights are out "
            "of range"
        )
    if change > CAUSAL_TOLERANCE * coarse * max(1.0, largest):
        raise InputError(
            f"{path}: not a causal language model: the log-probs of its tokens depend on what "
            f"follows them, by {change:.2g} nats"
        )


def _log_probs(model: Any, ids: Any) -> Any:
    """Log-probs (B, T, V) float32 after each of the tokens `ids` (B, T)."""
    import torch

    output = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
    return output.logits.float().log_softmax(-1)


@contextlib.contextmanager
def one_line(path: Path, what: str) -> Iterator[None]:
    """Turn any exception of a library that cannot read a folder into an InputError of one line.

    path: the folder, which the error names. what: how the error calls what cannot be loaded. Any
    exception is meant, because the folder comes from somebody else and the library may fail
    anywhere in it. What the library prints is dropped.
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
