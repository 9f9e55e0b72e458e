"""A small pipeline's folder with everything that a BabyLM entry is made of.

The sets are our own, in the published formats: their sizes are declared by `items`.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lmcore.babylm.evaluations import GLUE
from lmcore.babylm.tree import Project
from lmcore.comparing.diff_logs import DEFAULTS
from lmcore.files import write_json
from lmcore.suites.build import build_suite
from lmcore.tables import ITEMS, SCORES, TOKENS, items_table, write
from tests.lmcore.suites.test_build import jsonl
from tests.lmcore.token_tables import fold, tokens_of

SETTINGS = DEFAULTS._replace(resamples=200)
PAIRS = {
    "hypernym": [
        {"sentence_good": f"A dog {n}.", "sentence_bad": f"A cat {n} too."} for n in range(3)
    ],
    "turn_taking": [{"sentence_good": "Same", "sentence_bad": "Same"}],
}
BLIMP = {
    "principle_A_case_1": [
        {
            "sentence_good": f"It {n} is.",
            "sentence_bad": f"It {n} iss.",
            "UID": "principle_A_case_1",
            "field": "syntax",
            "linguistics_term": "binding",
        }
        for n in range(4)
    ]
}
EWOK = {
    "social": [
        {
            "Domain": "social-relations",
            "Context1": f"He is {n} kind.",
            "Context2": f"He is {n} not very kind.",
            "Target1": "He helps.",
            "Target2": "He does not help.",
        }
        for n in range(3)
    ]
}
BOXES = {
    "regular": [
        {
            "numops": n % 2,
            "input_prefix": "Box 0 contains ",
            "options": ["a cup.", "a hat.", "nothing." if n == 3 else "a map or so."],
        }
        for n in range(4)
    ]
}
COMPS = [
    {
        "prefix_acceptable": "A beaver",
        "prefix_unacceptable": "An old gorilla",
        "property_phrase": "has a flat tail.",
    }
]
WUGS = [
    {"sentences": "\t".join(pair), "ratio": ratio}
    for pair, ratio in (
        (("A daxity", "A daxness"), 0.2),
        (("A mip", "A mippy one"), 0.9),
        (("A wug is", "A wugs"), 0.6),
        (("An on", "An one more"), 0.7),
    )
]
FILES: dict[str, dict[str, list[dict]]] = {
    "blimp_filtered": BLIMP,
    "blimp_fast": BLIMP,
    "blimp_supplement": PAIRS,
    "supplement_fast": PAIRS,
    "ewok": EWOK,
    "ewok_fast": EWOK,
    "ewok_contexts": EWOK,
    "ewok_contexts_fast": EWOK,
    "entity_tracking": BOXES,
    "entity_tracking_fast": BOXES,
    "comps": {"comps_base": COMPS, "comps_wugs_dist-before": COMPS},
    "wug_adj": {"wug_adj_nominalization": WUGS},
    "wug_past": {"wug_past_tense": WUGS},
}
KINDS = {"wug_adj": "graded", "wug_past": "graded"}
CHECKPOINTS = {"my_chck_1m": 1_000_000, "my_chck_2m": 2_000_000}
Cost = Callable[[int, tuple[str, ...], str], float]


def short_is_probable(draw: int, before: tuple[str, ...], word: str) -> float:
    """The log-prob of a word: short words after short texts are probable."""
    return -float(len(word) + sum(map(len, before)))


def long_is_probable(draw: int, before: tuple[str, ...], word: str) -> float:
    return float(len(word) + sum(map(len, before))) - 100


def make_entry(folder: Path, tokenizer: Path, models: dict[str, Cost]) -> Project:
    """The project whose models were scored on all of FILES, reading, AoA and GLUE."""
    suites: dict[str, dict] = {}
    for suite, files in FILES.items():
        raw = folder / "raw" / suite
        raw.mkdir(parents=True)
        for name, records in files.items():
            jsonl(raw / f"{name}.jsonl", records)
        n_items = sum(map(len, files.values()))
        suites[suite] = {"path": str(raw), "items": n_items, "convention": "babylm2025"}
        items = build_suite(suite, suites[suite], folder, folder)
        write(items, ITEMS, folder / "items" / f"{suite}.parquet")
    suites["reading"] = {"task": "reading"}
    suites["aoa"] = {"task": "aoa"}
    write(_reading_items(), ITEMS, folder / "items/reading.parquet")
    write(_aoa_items(), ITEMS, folder / "items/aoa.parquet")
    for number, (model, cost) in enumerate(models.items()):
        add_model(folder, tokenizer, model, cost, suites, number)
    return Project(folder, suites)


def add_model(
    folder: Path, tokenizer: Path, model: str, cost: Cost, suites: dict[str, dict], number: int
) -> None:
    shutil.copytree(tokenizer, folder / "models" / model)
    config = {"model_type": "lmcore_dummy", "vocab_size": 300}
    write_json(config, folder / "models" / model / "config.json")
    for suite in suites:
        if suite in FILES:
            score(folder, model, suite, cost, suites[suite])
    write(_reading_scores(number), SCORES, folder / "scores" / model / "reading.parquet")
    write(_aoa_scores(number), SCORES, folder / "scores" / model / "aoa.parquet")
    for task in GLUE:
        classify(folder / "classified" / model / task / "predictions.parquet", number)


def score(folder: Path, model: str, suite: str, cost: Cost, entry: dict) -> None:
    """Write what a model says of a suite, and its scores."""
    items = pq.read_table(folder / "items" / f"{suite}.parquet")
    tokens = tokens_of(items, cost)
    write(tokens, TOKENS, folder / "tokens" / model / suite / "part-00000.parquet")
    kind = KINDS.get(suite, "pairs" if "blimp" in suite or "supplement" in suite else "choices")
    scores = fold(items, tokens, kind=kind, ties="win", top_k=10, vocab_size=300, window=128)
    write(scores, SCORES, folder / "scores" / model / f"{suite}.parquet")


def classify(path: Path, number: int) -> None:
    """Ten predictions of a classifier under two seeds; the published one is the second."""
    gold = [0, 1, 1, 0, 1, 0, 1, 1, 0, 1]
    rows = []
    for seed in (7, 42):
        for line, label in enumerate(gold):
            wrong = line < number + (seed == 7)
            row = {
                "seed": seed,
                "id": line,
                "gold": label,
                "predicted": 1 - label if wrong else label,
            }
            rows.append(row)
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = pa.schema(
        {"seed": pa.int64(), "id": pa.int32(), "gold": pa.int16(), "predicted": pa.int16()}
    )
    pq.write_table(pa.Table.from_pylist(rows, schema), path)


def _item(name: str, group: str, context: str, target: str) -> dict:
    return {
        "item": name,
        "option": 0,
        "variant": "",
        "group": group,
        "context": context,
        "target": target,
        "gold": True,
    }


def _reading_items() -> pa.Table:
    rows = [_item(f"reading/all/{n:04d}", "all", f"word {n}", "next") for n in range(5)]
    return items_table(rows, {"bos": "tokenizer", "tokenisation": "separate", "subset_of": 1_726})


def _aoa_items() -> pa.Table:
    rows = []
    for word in ("ball", "dog"):
        for n in range(2):
            rows.append(_item(f"aoa/{word}/{n:04d}", word, f"This {n} is a", f" {word}"))
    return items_table(rows, {"bos": "tokenizer", "subset_of": 8_005})


def scores_table(values: dict[str, dict[str, tuple[float, float]]], groups: dict) -> pa.Table:
    """A scores table of {item: {metric: (value, weight)}}."""
    rows = []
    for number, (item, metrics) in enumerate(sorted(values.items())):
        for metric, (value, weight) in sorted(metrics.items()):
            row = {"item": item, "draw": 0, "variant": "", "group": groups[item]}
            row |= {"metric": metric, "value": value, "weight": weight, "content_hash": number}
            rows.append(row)
    return pa.Table.from_pylist(rows, SCORES)


def _reading_scores(number: int) -> pa.Table:
    values = {}
    for n in range(5):
        values[f"reading/all/{n:04d}"] = {
            "surprisal": (n + 0.5 + number, 1.0),
            "previous_surprisal": (n + 0.25, float(n > 0)),
            "eye_tracking": (8.0 + n + number, 1.0),
            "self_paced": (2.0 + n, float(n > 0)),
        }
    return scores_table(values, dict.fromkeys(values, "all"))


def _aoa_scores(number: int) -> pa.Table:
    values, groups = {}, {}
    for row in _aoa_items().to_pylist():
        values[row["item"]] = {"target_logprob": (-float(len(row["target"]) + number), 1.0)}
        groups[row["item"]] = row["group"]
    return scores_table(values, groups)


def constant(draw: int, before: tuple[str, ...], word: str) -> float:
    """Ties wherever two options have equally many words."""
    return -1.0
