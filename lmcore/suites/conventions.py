"""How a suite is scored, under a name: our own convention and those of the peers.

Each convention is a set of defaults, which a suite may override key by key.

- `lmcore`: a leading space before a sentence; the prefix token; ties count one half.
- `lm_eval` (0.4.13): the same sentences. After a context there are only the special tokens that the
  tokenizer itself adds. The space stands before an option even where there is one already, and
  whitespace at the end of a context is part of the target. The first of tied options wins.
- `babylm2024`: lm-eval 0.4.2 with add_special_tokens=False, so there is never a BOS before a
  context. The prefix token is BOS, else EOS.
- `babylm2025`: sentences as they stand, with the special tokens that the tokenizer itself adds. So
  the first word is not scored where the tokenizer adds no BOS. In a suite of kind `reading`, a word
  is tokenised apart from its context (`tokenisation: separate`, see lmcore.text.separate).

In two places the numbers under lm-eval's conventions are not lm-eval's. tests/agreement shows both
numbers side by side.

- In running text (its rolling log-likelihood) lm-eval puts the prefix token before the output of
  the tokenizer. A tokenizer that adds a BOS then gives two of them, and the second is scored. Here
  BOS stands once and is never scored.
- Where context and target are longer than the model's window, lm-eval scores the target in one
  window that ends with it. Here windows lie end to end from the beginning of the text. A window
  ends within the target where the request exceeds the window by less than the target's length, or
  by a multiple of it. Then the first target tokens are scored in the window before, with more or
  less context than lm-eval gives them. The sums differed by 1.6 nats on one random model and by 6
  on another. Elsewhere, for longer contexts too, they are the same.

Source: lm_eval/models/huggingface.py (0.4.13); evaluation_pipeline/sentence_zero_shot of
babylm/evaluation-pipeline-2025.
"""

from typing import Annotated, Literal, get_args

from pydantic import Field

from lmcore.errors import InputError
from lmcore.params.ranges import DIFFERENT, Bos, Line

Convention = Literal["lmcore", "lm_eval", "babylm2024", "babylm2025"]
Ties = Literal["half", "win", "loss"]
Tokenisation = Literal["joint", "separate"]  # of context and word; of suites of kind reading alone
BOS, TIES, TOKENISATIONS = get_args(Bos), get_args(Ties), get_args(Tokenisation)
Classes = Annotated[list[Line], Field(min_length=2), DIFFERENT]
DEFAULT: Convention = "lmcore"
# the conventions under which the texts of a task are worded exactly as in lm-eval
LM_EVAL = ("lm_eval", "babylm2024")

CONVENTIONS: dict[str, dict] = {
    "lmcore": {
        "bos": "prefix",
        "bos_after_context": "prefix",
        "leading_space": True,
        "ties": "half",
        "tokenisation": "joint",
    },
    "lm_eval": {
        "bos": "prefix",
        "bos_after_context": "tokenizer",
        "leading_space": True,
        "ties": "win",
        "tokenisation": "joint",
    },
    "babylm2024": {
        "bos": "prefix",
        "bos_after_context": "none",
        "leading_space": True,
        "ties": "win",
        "tokenisation": "joint",
    },
    "babylm2025": {
        "bos": "tokenizer",
        "bos_after_context": "tokenizer",
        "leading_space": False,
        "ties": "win",
        "tokenisation": "separate",
    },
}


def convention_of(suite: str, entry: dict) -> dict:
    """The convention of one entry of params' suites, with what the entry overrides.

    The keys are bos, bos_after_context, leading_space, ties, tokenisation and name. `name` says
    which of them the entry overrides. `bos` of an entry holds both with and without a context.

    Raises InputError for an unknown convention, BOS policy or tie policy, and for a `leading_space`
    that is neither true nor false.
    """
    name = entry.get("convention", DEFAULT)
    if name not in CONVENTIONS:
        known = ", ".join(CONVENTIONS)
        raise InputError(f"suite '{suite}': unknown convention '{name}'; expected {known}")
    profile = dict(CONVENTIONS[name])
    _check_values(suite, entry)
    overridden = {}
    for key in ("leading_space", "ties", "tokenisation"):
        if key in entry and entry[key] != profile[key]:
            overridden[key] = entry[key]
    if "bos" in entry and {profile["bos"], profile["bos_after_context"]} != {entry["bos"]}:
        overridden["bos"] = entry["bos"]
        profile["bos_after_context"] = entry["bos"]
    changes = [f"{key}={value}" for key, value in sorted(overridden.items())]
    return {**profile, **overridden, "name": " ".join([name, *changes])}


def _check_values(suite: str, entry: dict) -> None:
    """Raises InputError for a BOS policy, tie policy or `leading_space` that is not known."""
    for key, known in (
        ("bos", BOS),
        ("ties", TIES),
        ("leading_space", (True, False)),
        ("tokenisation", TOKENISATIONS),
    ):
        if key in entry and entry[key] not in known:
            expected = ", ".join(map(str, known))
            raise InputError(
                f"suite '{suite}': {key} must be one of {expected}, not '{entry[key]}'"
            )


def bos_of(convention: dict, rows: list[dict], source: str) -> str:
    """The BOS policy of items rows: the one after a context where they have one, else the other.

    One suite has one policy. Raises InputError where the convention treats the two cases
    differently and the rows have both.
    """
    example_items: dict[str, str] = {}  # for each policy the first item that it applies to
    for row in rows:
        key = "bos_after_context" if row["context"] else "bos"
        example_items.setdefault(convention[key], row["item"])
    if len(example_items) > 1:
        items = " and ".join(f"'{item}' ({policy})" for policy, item in example_items.items())
        raise InputError(
            f"{source}: expected one BOS policy, but under this convention that of items with a "
            f"context differs from that of items without: {items}; make two suites, or set bos"
        )
    return next(iter(example_items), convention["bos"])
