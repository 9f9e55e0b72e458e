"""The BabyLM evaluations of 2025 and 2026: tasks, folders, sizes, and how a tie is settled.

What the two years' collations ask for differs:

- 2025 has the WUG tests. 2026 has Global PIQA in their place, which lmcore does not score.
- Entity tracking of 2026 leaves out the items with an option that says `nothing`.
- EWoK of 2025 asks which of two targets fits one context, 2026 which of two contexts one target
  fits. The predictions of 2026 are whole sentences.
- If options are tied, 2025 takes the first, which is the right one. 2026 draws one of them; here
  the draw is by the item's content, so that it repeats.
- Age of acquisition has 6,560 contexts in 2025 (of words with twenty contexts or more), all 8,005
  in 2026, where the file also holds the score.
- GLUE is a mean of accuracies in 2025; in 2026 MRPC and QQP enter by their F1.
- Where something is missing, the collation of 2025 ends; that of 2026 writes null, and its
  leaderboard counts it as 0.

Source: collate_preds.py, calculate_results_from_pred.py, sentence_zero_shot and AoA_word of
babylm/evaluation-pipeline-2025 (commits 2065867, 288a497, 248fbcc, 1da06d2) and of
babylm-org/babylm-eval, strict (commit 6f825c2); for scores and means of 2026,
src/submission/eval_submission.py and src/leaderboard/read_evals.py of the Space
BabyLM-community/BabyLM-Leaderboard-2026.
"""

from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from lmcore.babylm_year import YEARS
from lmcore.errors import InputError
from lmcore.params import yaml_text

TieRule = Literal["first", "drawn"]
SIZES = Path(__file__).with_suffix(".yaml")
GLUE = ("boolq", "mnli", "mrpc", "multirc", "qqp", "rte", "wsc")
READING = "reading"
AOA = "aoa"
N_READING = 1_726


class Part(NamedTuple):
    """Predictions of one task: where they lie, and which.

    `rule` names what is asked, for published numbers compare only under the same rule. `sizes` are
    the numbers of items by UID. Items with an option that holds the word `without` are left out.
    """

    key: str  # in the collated file
    task: str  # of lmcore.suites.declare
    folder: str  # below zero_shot/BACKEND
    sizes: dict[str, int]
    rule: str
    is_graded: bool = False  # a correlation with people's ratios, no decisions
    is_whole_sentence: bool = False  # a prediction is context and target
    without: str = ""

    @property
    def n_items(self) -> int:
        return sum(self.sizes.values())


class Evaluation(NamedTuple):
    """What one year's collation reads."""

    year: int
    full: tuple[Part, ...]
    fast: tuple[Part, ...]
    tie_rule: TieRule
    aoa_key: str  # of the surprisals in the collated file
    n_contexts: int  # of AoA, at each checkpoint
    least_contexts: int  # that a word of AoA must have
    not_scored: tuple[str, ...]  # keys of tasks that lmcore does not have
    f1_tasks: tuple[str, ...]  # of GLUE, whose score is the F1 of class 1 instead of accuracy

    def part(self, task: str) -> Part | None:
        """The full part of a task of lmcore.suites, if it has one."""
        return next((part for part in self.full if part.task == task), None)


@cache
def sizes() -> dict[str, dict[str, int]]:
    """The asserted numbers of items, by task and UID."""
    return yaml_text.load_mapping(SIZES.read_text("utf-8"), SIZES)


@cache
def evaluation(year: int) -> Evaluation:
    """The evaluation of 2025 or 2026. Raises InputError for another year."""
    if year not in YEARS:
        raise InputError(f"the evaluation of BabyLM {year} is not known; expected 2025 or 2026")
    full, fast = [*_pairs("_filtered")], [*_pairs("_fast")]
    if year == 2025:
        wugs = (
            _wug("wug_adj", "wug_adj_nominalization", 200),
            _wug("wug_past", "wug_past_tense", 50),
        )
        full += [*_choices("", "entity_tracking", ""), *wugs, _comps()]
        fast += [*_choices("_fast", "entity_tracking", ""), *wugs]
        return Evaluation(2025, tuple(full), tuple(fast), "first", AOA, 6_560, 20, (), ())
    full += [*_choices("", "entity_tracking_filtered", "nothing"), _comps()]
    fast += [*_choices("_fast", "entity_tracking_filtered", "nothing")]
    return Evaluation(
        year=2026,
        full=tuple(full),
        fast=tuple(fast),
        tie_rule="drawn",
        aoa_key="aoa_surprisals",
        n_contexts=8_005,
        least_contexts=0,
        not_scored=("global_piqa_parallel", "global_piqa_nonparallel"),
        f1_tasks=("mrpc", "qqp"),
    )


def _pairs(kind: str) -> tuple[Part, Part]:
    """BLiMP and its supplement; kind: _filtered or _fast."""
    blimp, supplement = sizes()["blimp"], sizes()["supplement"]
    if kind == "_fast":
        blimp, supplement = dict.fromkeys(blimp, 200), dict.fromkeys(supplement, 50)
    task = "blimp_supplement" if kind == "_filtered" else "supplement_fast"
    return (
        Part("blimp", f"blimp{kind}", f"blimp/blimp{kind}", blimp, "blimp"),
        Part("blimp_supplement", task, f"blimp/supplement{kind}", supplement, "blimp_supplement"),
    )


def _choices(kind: str, entity_key: str, without: str) -> tuple[Part, Part]:
    """EWoK and entity tracking; kind: empty or _fast."""
    ewok, entities = sizes()["ewok"], sizes()[entity_key]
    if kind == "_fast":
        ewok = dict.fromkeys(ewok, 100)
        entities = {uid: size for uid, size in entities.items() if uid.startswith("regular")}
    is_of_contexts = bool(without)  # the year that leaves out items turned EWoK round, too
    return (
        Part(
            key="ewok",
            task=f"{'ewok_contexts' if is_of_contexts else 'ewok'}{kind}",
            folder=f"ewok/ewok{kind or '_filtered'}",
            sizes=ewok,
            rule="ewok_contexts" if is_of_contexts else "ewok",
            is_whole_sentence=is_of_contexts,
        ),
        Part(
            key=entity_key,
            task=f"entity_tracking{kind}",
            folder=f"entity_tracking/entity_tracking{kind}",
            sizes=entities,
            rule=entity_key,
            without=without,
        ),
    )


def _comps() -> Part:
    return Part("comps", "comps", "comps/comps", sizes()["comps"], "comps", is_whole_sentence=True)


def _wug(key: str, uid: str, size: int) -> Part:
    return Part(key, key, f"{key}/{uid}", {uid: size}, key, is_graded=True)
