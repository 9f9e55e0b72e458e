"""What BabyLM's call for a year says in numbers: its rules, and which checkpoints it asks for.

A year and a track go in. Numbers of words, and names of revisions, come out.

Words are those that whitespace separates. A checkpoint is named by the words that the training has
read by then, a word as often as it was read: `chck_1M` after a million. The tracks are
`strict_small` (a corpus of at most 10M words) and `strict` (at most 100M); a training reads its
corpus at most ten times. The calls of 2025 and 2026 agree in all of this.

Source: the calls for papers of 2025 and 2026, and evaluation_pipeline of
babylm/evaluation-pipeline-2025 and babylm-org/babylm-eval (STRICT_SMALL_FAST_REVISIONS,
OTHER_FAST_REVISIONS).
"""

from typing import Literal, NamedTuple

from lmcore.errors import InputError

MILLION = 10**6
YEARS = (2025, 2026)
Track = Literal["strict_small", "strict"]
RulesName = Literal[
    "babylm2025_strict_small",
    "babylm2025_strict",
    "babylm2026_strict_small",
    "babylm2026_strict",
]


class Rules(NamedTuple):
    """The most that a training may use."""

    words: int  # of the training corpus
    epochs: int  # passes over it


TRACKS = {"strict_small": Rules(10 * MILLION, 10), "strict": Rules(100 * MILLION, 10)}
RULES = {f"babylm{year}_{track}": rules for year in YEARS for track, rules in TRACKS.items()}


def ladder(year: int, track: str) -> list[int]:
    """The words read at each checkpoint that a track asks for, in order.

    strict_small: 1M to 9M by 1M and 10M to 100M by 10M, 19 in all. strict: 200M to 1000M by 100M
    besides, 28 in all. Raises InputError for another year or track.
    """
    if year not in YEARS:
        known = " and ".join(map(str, YEARS))
        raise InputError(f"the checkpoints of BabyLM {year} are not known; those of {known} are")
    if track not in TRACKS:
        raise InputError(f"unknown track '{track}'; expected {' or '.join(TRACKS)}")
    millions = [*range(1, 10), *range(10, 101, 10)]
    if track == "strict":
        millions += range(200, 1001, 100)
    return [number * MILLION for number in millions]


def ladder_entries(model: str, year: int, track: str) -> dict[str, dict]:
    """The entries of keep_checkpoint that make a model's checkpoints of a track, by their names.

    Raises InputError as `ladder`.
    """
    entries = {}
    for words in ladder(year, track):
        entries[entry_name(model, words)] = {"model": model, "words": words}
    return entries


def revision_name(words: int) -> str:
    """The name of the revision after so many words: `chck_1M` after 1,000,000.

    Raises InputError unless `words` is a whole number of millions, at least one.
    """
    if words < MILLION or words % MILLION:
        raise InputError(
            f"a checkpoint of BabyLM is named by whole millions of words; expected 1,000,000 or a "
            f"multiple of it, not {words:,}"
        )
    return f"chck_{words // MILLION}M"


def entry_name(model: str, words: int) -> str:
    """What a model's checkpoint is called in params.yaml: `babyllama_chck_1m`.

    Raises InputError as `revision_name`.
    """
    return f"{model}_{revision_name(words).lower()}"
