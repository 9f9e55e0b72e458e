"""A classifier: the body of a language model, and a fresh head on the state of one of its tokens.

A model folder goes in. A torch module comes out that gives logits of labels for padded token ids.

- The body is that of any causal or masked LM that lmcore.models.load opens, without the LM head.
- The token is the last one of a causal model, which alone has read the whole text, and the first
  one (`[CLS]`) of a masked one. Padding is never meant: the official pipeline takes the last or
  first *place* of a row (`--take_final` or not), which is padding if the wrong side is padded. That
  is why GPT-2's GLUE there is .577 or .634 by the padded side. Its default is the first place for
  causal models, too, where nothing has been read yet.
- Padding is masked, and positions count from the first token, so the padded side does not change a
  state. `check_padding` tests that on the model itself.
- The head is the official one: norm, linear, GELU, norm, dropout, linear; the norms have no
  parameters. It is drawn from the seed.

Source: https://github.com/babylm/evaluation-pipeline-2025, evaluation_pipeline/finetune/
classifier_model.py. Differences: the choice of the token (above), and position ids for padding on
the left, which are not given there, so that GPT-2's positions count the padding.
"""

import inspect
from pathlib import Path
from typing import Any

import torch

from lmcore.classifying.encoding import Padding, pad
from lmcore.errors import InputError
from lmcore.models.config import OFFSET_POSITIONS
from lmcore.models.folder import is_control, is_masked, read_config
from lmcore.models.load import load_any, one_line

NORM_EPS = 1e-5
# how far padding may move a state, as a share of the largest state: float noise
PADDING_TOLERANCE = 1e-4
N_PROBE, N_PADDING = 12, 5  # tokens of the probe text of `check_padding`, and of its padding


class Classifier(torch.nn.Module):
    """Token ids and a mask (B, T) to the logits (B, labels)."""

    def __init__(self, body: Any, token: str, n_labels: int, dropout: float):
        """token: which token's state the head reads, `first` or `last`."""
        super().__init__()
        self.body: Any = body
        self.token = token
        takes_positions = "position_ids" in inspect.signature(body.forward).parameters
        # RoBERTa and its relatives count their positions by the padding token themselves
        counts_itself = body.config.model_type in OFFSET_POSITIONS
        self.gives_positions = takes_positions and not counts_itself
        ids = torch.ones(1, 1, dtype=torch.int64)
        with torch.no_grad():
            hidden_size = self.states(ids, ids).shape[-1]
        self.head = torch.nn.Sequential(
            torch.nn.LayerNorm(hidden_size, NORM_EPS, elementwise_affine=False),
            torch.nn.Linear(hidden_size, hidden_size),
            torch.nn.GELU(),
            torch.nn.LayerNorm(hidden_size, NORM_EPS, elementwise_affine=False),
            torch.nn.Dropout(dropout),
            torch.nn.Linear(hidden_size, n_labels),
        )

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Logits (B, labels) of ids (B, T); the mask (B, T) is 0 where padding stands."""
        states = self.states(ids, mask)
        return self.head(states[torch.arange(len(ids), device=ids.device), self.places(mask)])

    def states(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The body's last hidden states (B, T, H)."""
        options = {}
        if self.gives_positions and not bool(mask[:, 0].all()):  # padding on the left
            options["position_ids"] = (mask.cumsum(1) - 1).clamp(min=0)
        return self.body(input_ids=ids, attention_mask=mask, **options).last_hidden_state

    def places(self, mask: torch.Tensor) -> torch.Tensor:
        """(B,): where the token that the head reads stands in each row."""
        if self.token == "first":
            return mask.argmax(1)
        return mask.shape[1] - 1 - mask.flip(1).argmax(1)


def token_of(folder: Path) -> str:
    """Which token's state the head reads: `first` of a masked LM, `last` of a causal one."""
    return "first" if is_masked(read_config(folder)) else "last"


def new_classifier(
    folder: Path, n_labels: int, dropout: float, padding: Padding, seed: int
) -> Classifier:
    """The classifier of a model folder, whose head is drawn from the seed, on the CPU.

    Raises InputError for a folder that `load_any` refuses, for a control, which has no body, and as
    `check_padding`.
    """
    if is_control(read_config(folder)):
        raise InputError(
            f"{folder}: a control of this kind has no body to fine-tune; expected a causal or"
            " masked language model (untrained is one)"
        )
    model = load_any(folder)
    body = model.base_model
    if body is model:
        raise InputError(f"{folder}: its architecture has no body apart from its head")
    body.config.use_cache = False
    torch.manual_seed(seed)
    with one_line(folder, "the model's body"):
        classifier = Classifier(body, token_of(folder), n_labels, dropout).eval()
    check_padding(classifier, folder, padding)
    return classifier


def check_padding(classifier: Classifier, folder: Path, padding: Padding) -> None:
    """Raises InputError where padding on this side changes the state that the head reads."""
    vocab_size = classifier.body.config.vocab_size
    text = torch.arange(1, N_PROBE + 1) * 7919 % vocab_size
    text[text == padding.token] = (padding.token + 1) % vocab_size
    short, whole = text[N_PADDING:].numpy(), text.numpy()
    with torch.no_grad(), one_line(folder, "the model's forward pass"):
        alone = _read_state(classifier, [short], padding)[0]
        beside = _read_state(classifier, [short, whole], padding)[0]
    moved = float((alone - beside).abs().max() / alone.abs().max().clamp(min=1e-6))
    if not moved <= PADDING_TOLERANCE:
        other = "left" if padding.side == "right" else "right"
        raise InputError(
            f"{folder}: padding on the {padding.side} changes the state of a text by a share of"
            f" {moved:.2g}, though it is masked; try padding_side: {other}"
        )


def _read_state(classifier: Classifier, texts: list, padding: Padding) -> torch.Tensor:
    """(B, H): the states that the head reads of texts, padded to the longest."""
    ids, mask = pad(texts, padding)
    return classifier.states(ids, mask)[torch.arange(len(ids)), classifier.places(mask)]
