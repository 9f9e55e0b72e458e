"""How a suite is scored, under a name: our own convention and those of the peers, each a default that a suite may override key by key.

- `lmcore`: a leading space before a sentence, the prefix token, ties count one half;
- `lm_eval` (0.4.13): the same sentences; after a context only the tokenizer's own specials; the space before an option even where there is
  one, whitespace at the end of a context as part of the target; the first of tied options wins;
- `babylm2024`: lm-eval 0.4.2 with add_special_tokens=False, so never a BOS before a context; prefix BOS, else EOS;
- `babylm2025`: sentences as they stand, the tokenizer's own specials, so that the first word goes unscored where it adds no BOS.

In two places the numbers under lm-eval's conventions are not lm-eval's (tests/agreement shows both beside it):

- Of running text (its rolling log-likelihood) lm-eval puts the prefix token before what the tokenizer made, so that with a tokenizer that
  adds a BOS there are two, and the second is scored. Here BOS stands once and is never scored.
- Where context and target are longer than the model's window, lm-eval scores the target in one window that ends with it. Here windows lie
  end to end from the beginning of the text, and where one ends within the target (the request passes the window by less than the target's
  length, or a multiple of it), the first target tokens are scored in the window before, with more context than lm-eval gives them or
  less. The sums differed by 1.6 nats on one random model and by 6 on another; elsewhere, longer contexts included, they are the same.

Source: lm_eval/models/huggingface.py (0.4.13); evaluation_pipeline/sentence_zero_shot of babylm/evaluation-pipeline-2025.
"""

from typing import Annotated, Literal

from pydantic import Field

from lmcore.errors import InputError
from lmcore.params.ranges import DIFFERENT, Line

BOS = ("prefix", "tokenizer", "none")
TIES = ("half", "win", "loss")
Convention = Literal["lmcore", "lm_eval", "babylm2024", "babylm2025"]
Ties = Literal["half", "win", "loss"]
Classes = Annotated[list[Line], Field(min_length=2), DIFFERENT]
DEFAULT: Convention = "lmcore"
LM_EVAL = (
    "lm_eval",
    "babylm2024",
)  # the conventions under which tasks are worded to the letter as in lm-eval

CONVENTIONS: dict[str, dict] = {
    "lmcore": {
        "bos": "prefix",
        "bos_after_context": "prefix",
        "leading_space": True,
        "ties": "half",
    },
    "lm_eval": {
        "bos": "prefix",
        "bos_after_context": "tokenizer",
        "leading_space": True,
        "ties": "win",
    },
    "babylm2024": {
        "bos": "prefix",
        "bos_after_context": "none",
        "leading_space": True,
        "ties": "win",
    },
    "babylm2025": {
        "bos": "tokenizer",
        "bos_after_context": "tokenizer",
        "leading_space": False,
        "ties": "win",
    },
}


def convention_of(suite: str, entry: dict) -> dict:
    """{bos, bos_after_context, leading_space, ties, name} for one entry of params' suites; the name says what the entry overrides.

    `bos` of an entry holds with and without a context. Raises InputError for an unknown convention, BOS policy or tie policy.
    """
    name = entry.get("convention", DEFAULT)
    if name not in CONVENTIONS:
        raise InputError(
            f"suite '{suite}': unknown convention '{name}'; expected {', '.join(CONVENTIONS)}"
        )
    profile = dict(CONVENTIONS[name])
    for key, known in (("bos", BOS), ("ties", TIES), ("leading_space", (True, False))):
        if entry.get(key, profile[key]) not in known:
            raise InputError(
                f"suite '{suite}': {key} must be one of {', '.join(map(str, known))}, not '{entry[key]}'"
            )
    overridden = {
        key: entry[key]
        for key in ("leading_space", "ties")
        if key in entry and entry[key] != profile[key]
    }
    if "bos" in entry and {profile["bos"], profile["bos_after_context"]} != {entry["bos"]}:
        overridden["bos"] = entry["bos"]
        profile["bos_after_context"] = entry["bos"]
    return {
        **profile,
        **overridden,
        "name": " ".join([name, *(f"{key}={value}" for key, value in sorted(overridden.items()))]),
    }


def bos_of(convention: dict, rows: list[dict], source: str) -> str:
    """The BOS policy of items rows: that after a context where they have one, else that without.

    Raises InputError where the convention treats the two differently and the rows have both: one suite has one policy.
    """
    policies: dict[str, str] = {}
    for row in rows:
        policies.setdefault(
            convention["bos_after_context" if row["context"] else "bos"], row["item"]
        )
    if len(policies) > 1:
        items = " and ".join(f"'{item}' ({policy})" for policy, item in policies.items())
        raise InputError(
            f"{source}: with and without a context items differ in BOS policy under this convention: {items}; make two suites, or set bos"
        )
    return next(iter(policies), convention["bos"])
