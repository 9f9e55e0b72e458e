"""Which forward scores a model: the packed one, if it agrees with the model's own forward.

When a model is loaded, two fixed texts that begin alike and are longer than the sliding window go
through both forwards. The padded forward takes over and says why if the log-prob of a token differs
by more than TOLERANCE, if some layer does not use our attention, or if the position encoding
depends on the longest text of a pass.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lmcore.models.config import OFFSET_POSITIONS
from lmcore.models.folder import is_control, is_masked
from lmcore.models.load import load_any
from lmcore.scoring.halves import Halves, without_cache
from lmcore.scoring.kernels import device_of
from lmcore.scoring.packed import ATTENTION, Packed, take_attention
from lmcore.scoring.padded import Control, Padded
from lmcore.scoring.plan import Pass, Window, masked_passes, passes

TOLERANCE = 1e-4  # nats
LENGTHS, SHARED = (24, 20), 13  # tokens of the two texts, and how many of them are the same
SHORT = 8  # tokens of an attention window that these texts exceed
WINDOWS = ("sliding_window", "attention_chunk_size")  # keys of configs
OF_THE_PASS = {"dynamic", "longrope"}  # kinds of RoPE whose angles depend on the longest text

Forward = Packed | Padded | Control


def open_model(
    path: Path, config: dict, dtype: str, kernel: str, token_budget: int
) -> tuple[Forward, str]:
    """The forward that scores the model in the folder `path`, and why it is not the packed one.

    The reason is empty for the packed forward and for controls. `token_budget` is that of a batch
    of the padded forward. Raises InputError, as lmcore.models.load.load_model does.
    """
    device = device_of(kernel)
    if is_control(config):
        return Control(path, config, device), ""
    opened = _Opened(path, getattr(torch, dtype), kernel, token_budget, is_masked(config))
    return opened.forward()


class _Opened:
    """A model that is being opened: each attempt at a forward may change it.

    `unchanged` holds the model in halves while no attempt has changed it. After that, it is loaded
    again.
    """

    def __init__(
        self, path: Path, dtype: torch.dtype, kernel: str, token_budget: int, masked: bool
    ):
        self.path, self.dtype, self.kernel, self.is_masked = path, dtype, kernel, masked
        self.token_budget = token_budget
        model = self._load()
        self.config, self.texts = model.config, guard_texts(model.config)
        if masked:
            self.texts = [_with_mask(text, self.config.pad_token_id) for text in self.texts]
        self.depends_on_pass = bool(rope_kinds(self.config) & OF_THE_PASS)
        with short_windows(self.config):
            self.expected = own_logprobs(model, self.texts)
        self.unchanged: Halves | None = Halves(model)

    def forward(self) -> tuple[Forward, str]:
        """The first forward that agrees with the model's own, and why those before it do not."""
        reasons: list[str] = []
        # each attempt, and whether its products are computed in the dtype asked for
        attempts: tuple[tuple[Callable[[], Forward], bool], ...] = (
            (self._packed, True),
            (self._padded, True),
            (self._padded_without_kernels, False),
            (self._padded_whole, False),
            (self._padded_of_one_length, False),
        )
        for attempt, takes_dtype in attempts:
            try:
                forward = attempt()
            except ValueError as error:
                reasons.append(str(error))
                continue
            if self.dtype != torch.float32 and not takes_dtype:
                reasons.append("all its products are in float32")
            return forward, "; ".join(reasons)
        raise AssertionError("the last attempt never fails")

    def _packed(self) -> Packed:
        """The packed forward. Raises ValueError if it does not agree with the model's own."""
        if self.depends_on_pass:
            raise ValueError("its position encoding depends on the pass")
        halves = self._halves()
        take_attention(halves.model)
        self.unchanged = None
        forward = Packed(halves, self.is_masked, self._first_position())
        n_layers = self.config.get_text_config().num_hidden_layers

        def logprobs() -> torch.Tensor:
            values = logprobs_of(forward, self._one_pass(share=True))
            if ATTENTION.n_calls != n_layers:
                n = f"{ATTENTION.n_calls} of {n_layers}"
                raise ValueError(f"it attends through transformers' interface in {n} layers")
            return values

        self._check(logprobs)
        self._use_kernels(halves, logprobs)
        return forward

    def _padded(self) -> Padded:
        """The padded forward in halves, with this machine's kernels. Raises ValueError."""
        forward, halves = self._padded_without_kernels(), self._halves()
        self._use_kernels(halves, lambda: logprobs_of(forward, self._one_pass(share=False)))
        return forward

    def _padded_without_kernels(self) -> Padded:
        """The padded forward in halves, with the model's own layers. Raises ValueError."""
        halves = self._halves()
        forward = Padded(halves.model, halves, self.token_budget, self.depends_on_pass)
        self._check(lambda: logprobs_of(forward, self._one_pass(share=False)))
        return forward

    def _padded_whole(self) -> Padded:
        """The padded forward through the whole model. Raises ValueError."""
        forward = Padded(self._load(), None, self.token_budget, self.depends_on_pass)
        self._check(lambda: logprobs_of(forward, self._one_pass(share=False)))
        return forward

    def _padded_of_one_length(self) -> Padded:
        """The padded forward through the whole model, without padding. It never fails."""
        return Padded(self._load(), None, self.token_budget, of_one_length=True)

    def _one_pass(self, share: bool) -> Pass:
        """A pass over both texts. With `share`, they share the rows of their common beginning."""
        budget = 10**6
        made = masked_passes(self.texts, budget) if self.is_masked else None
        (one_pass,) = made or passes(self.texts, budget, share)
        return one_pass

    def _use_kernels(self, halves: Halves, logprobs: Callable[[], torch.Tensor]) -> None:
        """Put this machine's kernels into the halves. Raises ValueError if the results differ."""
        self.unchanged = None
        halves.use_kernels(self.kernel, self.dtype)
        self._check(logprobs, TOLERANCE if self.dtype == torch.float32 else torch.inf)

    def _first_position(self) -> int:
        """The number of the first token's position.

        RoBERTa and similar models count from the number after the padding's id.
        """
        is_offset = self.is_masked and self.config.model_type in OFFSET_POSITIONS
        return self.config.pad_token_id + 1 if is_offset else 0

    def _check(self, logprobs: Callable[[], torch.Tensor], tolerance: float | None = None) -> None:
        """Raises ValueError if these log-probs fail or differ from those of the model itself.

        They may differ by `tolerance` in nats, which is TOLERANCE if it is None.
        """
        tolerance = TOLERANCE if tolerance is None else tolerance
        try:
            with short_windows(self.config):
                difference = float((logprobs() - self.expected).abs().max())
        except (RuntimeError, TypeError, AttributeError, LookupError) as error:
            raise ValueError(f"{type(error).__name__}: {str(error).splitlines()[0]}") from error
        if not difference <= tolerance:
            raise ValueError(f"it differs from the model's own by {difference:.1g} nats")

    def _halves(self) -> Halves:
        """The model in halves, and otherwise as it is in its folder."""
        if self.unchanged is None:
            self.unchanged = Halves(self._load())
        return self.unchanged

    def _load(self) -> Any:
        return load_any(self.path).to(device_of(self.kernel))


def guard_texts(config: Any) -> list[Window]:
    """The two texts as windows. Their ids are the same on every machine."""
    config = config.get_text_config()
    longest = min(LENGTHS[0], getattr(config, "max_position_embeddings", LENGTHS[0]) or LENGTHS[0])
    random = np.random.default_rng(0)
    first, second = random.integers(0, config.vocab_size, (2, longest + 1), dtype=np.int32)
    second[:SHARED] = first[:SHARED]
    second = second[: LENGTHS[1] + 1]
    return [
        Window(first[:-1], 0, first[1:], 0),
        Window(second[:-1], 0, second[1:], longest),
    ]


def _with_mask(text: Window, pad_id: int | None) -> Window:
    """A text for masked LMs, made of one for causal LMs: its middle token alone is scored.

    The middle token need not be the mask for this. But no token may be the padding, at which some
    models count no positions.
    """
    middle = len(text.inputs) // 2
    inputs = np.where(text.inputs == pad_id, text.inputs[text.inputs != pad_id][0], text.inputs)
    return Window(inputs, middle, text.targets[middle - 1 : middle], int(text.row > 0))


@contextmanager
def short_windows(config: Any) -> Iterator[None]:
    """Shorten the attention windows while this runs, so that short texts exceed them."""
    config = config.get_text_config()
    before = {name: getattr(config, name) for name in WINDOWS if getattr(config, name, None)}
    for name, size in before.items():
        setattr(config, name, min(size, SHORT))
    try:
        yield
    finally:
        for name, size in before.items():
            setattr(config, name, size)


def rope_kinds(config: Any) -> set[str]:
    """The kinds of rotary angles that a config describes, for all layers or by type of layer."""
    for_all = getattr(config.get_text_config(), "rope_parameters", None) or {}
    by_type = [value for value in for_all.values() if isinstance(value, dict)]
    return {rope["rope_type"] for rope in [for_all, *by_type] if "rope_type" in rope}


def own_logprobs(model: Any, texts: list[Window]) -> torch.Tensor:
    """Log-probs (R,) of the texts' targets, by the model's own forward over each text alone."""
    return torch.cat([_own(model, text) for text in texts])


def logprobs_of(forward: Packed | Padded, one_pass: Pass) -> torch.Tensor:
    """Log-probs (R,) of the targets of a pass, in the order of the output rows."""
    logits = forward.head(forward.hidden(one_pass)).float()
    text_order = np.argsort(one_pass.rows)
    nodes, next_ids, rows, order = (
        torch.from_numpy(x).to(logits.device)
        for x in (one_pass.pair_nodes, one_pass.pair_next, one_pass.row_pairs, text_order)
    )
    return torch.log_softmax(logits, -1)[nodes, next_ids][rows][order]


def _own(model: Any, text: Window) -> torch.Tensor:
    """Log-probs (T,) of a text's targets, by the model's own forward."""
    ids = torch.from_numpy(text.inputs).long()[None].to(model.device)
    logits = model(input_ids=ids, **without_cache(model)).logits[0].float()
    targets = torch.from_numpy(text.targets).long().to(logits.device)
    places = torch.arange(text.first, text.first + len(targets), device=logits.device)
    return torch.log_softmax(logits, -1)[places, targets]
