"""The files that the BabyLM evaluation of 2025 and 2026 collects: they are written, and checked.

Items and tokens of the pipeline go in. Under RESULTS/MODEL/REVISION come out

- zero_shot/BACKEND/TASK/DATA/predictions.json for every suite that was scored: {UID:
  {"predictions": [{"id": "UID_0", "pred": TEXT}]}}, where TEXT is the chosen option, of COMPS the
  whole sentence. WUG also has `prob`, the probability of the first option;
- RESULTS/MODEL/all_full_preds_and_fast_scores_BACKEND.json, the predictions of the full sets in one
  file, with the UIDs in lower case, as the official collation writes them.

If options are tied, the first is chosen, as by the official rule. `check_tree` reads such a folder
as the collation does and says what is missing or does not fit.

Source: babylm/evaluation-pipeline-2025 and babylm-org/babylm-eval (strict), sentence_zero_shot and
collate_preds.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from lmcore.commands.export import chosen_rows
from lmcore.errors import InputError
from lmcore.files import read_json_object, whole
from lmcore.models.folder import is_masked, read_config
from lmcore.suites.declare import TASKS
from lmcore.tables import ITEMS, read, scoring_of

MOST_BYTES = 1 << 30
YEARS = (2025, 2026)
# published sizes of groups, in the order in which the pipeline asserts them
SUPPLEMENT = {
    "hypernym": 842,
    "qa_congruence_easy": 64,
    "qa_congruence_tricky": 165,
    "subject_aux_inversion": 3_867,
    "turn_taking": 280,
}
OPERATIONS = {
    "regular": (606, 607, 606, 606, 568, 159),
    "ambiref": (607, 607, 604, 604, 615, 187),
    "move_contents": (605, 606, 605, 606, 529, 156),
}


class Part(NamedTuple):
    """One task: its folder, its key in the collated file (none of a fast set), its sizes.

    `sizes` are the published numbers of items by UID, where they are known one by one; `n_uids` and
    `n_items` hold in any case.
    """

    folder: str
    key: str | None
    n_uids: int
    n_items: int
    sizes: dict[str, int] = {}


def _operations(*files: str) -> dict[str, int]:
    """The sizes of the groups of entity tracking."""
    sizes = {}
    for file in files:
        for number, size in enumerate(OPERATIONS[file]):
            sizes[f"{file}_{number}_ops"] = size
    return sizes


def _part(suite: str, folder: str, key: str | None, sizes: dict[str, int] | None = None) -> Part:
    """The part of a suite, whose published numbers lmcore.suites.declare has."""
    task = TASKS[suite]
    assert task.n_items is not None and task.n_groups is not None, suite
    return Part(folder, key, task.n_groups, task.n_items, sizes or {})


COMPS = {"base": 49_340} | dict.fromkeys(
    ("wugs", "wugs_dist_before", "wugs_dist_in_between"), 13_896
)
PARTS = {
    "blimp_filtered": _part("blimp_filtered", "blimp/blimp_filtered", "blimp"),
    "blimp_supplement": _part(
        "blimp_supplement", "blimp/supplement_filtered", "blimp_supplement", SUPPLEMENT
    ),
    "ewok": _part("ewok", "ewok/ewok_filtered", "ewok"),
    "entity_tracking": _part(
        "entity_tracking",
        "entity_tracking/entity_tracking",
        "entity_tracking",
        _operations(*OPERATIONS),
    ),
    "comps": _part("comps", "comps/comps", "comps", COMPS),
    "wug_adj": Part("wug_adj/wug_adj_nominalization", "wug_adj", 1, 200),
    "wug_past": Part("wug_past/wug_past_tense", "wug_past", 1, 50),
    "blimp_fast": _part("blimp_fast", "blimp/blimp_fast", None),
    "supplement_fast": _part(
        "supplement_fast", "blimp/supplement_fast", None, dict.fromkeys(SUPPLEMENT, 50)
    ),
    "ewok_fast": _part("ewok_fast", "ewok/ewok_fast", None),
    "entity_tracking_fast": _part(
        "entity_tracking_fast",
        "entity_tracking/entity_tracking_fast",
        None,
        _operations("regular"),
    ),
}
# what the collation of 2025 and 2026 also wants, and lmcore does not write, below MODEL/REVISION
GLUE = ("boolq", "mnli", "mrpc", "multirc", "qqp", "rte", "wsc")
OTHERS = (
    "zero_shot/*/reading/predictions.json",
    "zero_shot/*/AoA_word/surprisal.json",
    *(f"finetune/{task}/predictions.json" for task in GLUE),
)


def write_tree(
    model: str, data: Path, out: Path, *, revision: str = "main", draw: int = 0
) -> dict[str, int]:
    """Write the predictions of a model on all suites of PARTS that were scored.

    Returns {suite: the number of its predictions}. `out` is the folder RESULTS; what it holds of
    other models stays. `draw` is that of a random model.

    Raises InputError where there is no such suite, and for a suite that was not scored under the
    convention babylm2025.
    """
    backend = "mlm" if is_masked(read_config(data / "models" / model)) else "causal"
    tree = out / stem(model) / revision / "zero_shot" / backend
    counts: dict[str, int] = {}
    collated: dict[str, Any] = {}
    for suite, part in PARTS.items():
        items = data / "items" / f"{suite}.parquet"
        if not items.exists():
            continue
        uids = _predictions(suite, items, data / "tokens" / model / suite, draw)
        _write(uids, tree / part.folder / "predictions.json")
        counts[suite] = sum(len(uid["predictions"]) for uid in uids.values())
        if part.key:
            collated[part.key] = {name.lower(): content for name, content in uids.items()}
    if not counts:
        raise InputError(
            f"{data / 'items'}: none of the suites {', '.join(PARTS)};"
            " name one in params.yaml and run the pipeline"
        )
    _write(collated, out / stem(model) / f"all_full_preds_and_fast_scores_{backend}.json")
    return counts


def stem(model: str) -> str:
    """The name of a model's folder, as the official pipeline cuts it: without a last `.suffix`."""
    return Path(model).stem


def _predictions(suite: str, items: Path, tokens: Path, draw: int) -> dict[str, Any]:
    """{UID: {"predictions": …}} of a suite, in the order of its files' lines."""
    table = read(items, ITEMS)
    if scoring_of(table).get("bos") != "tokenizer":
        raise InputError(
            f"suite '{suite}' was not scored as BabyLM's evaluation scores it;"
            " give it `convention: babylm2025` in params.yaml and run the pipeline"
        )
    uids: dict[str, Any] = {}
    for row, probability in chosen_rows(table, tokens, draw):
        # the items of a task with one UID have no groups here
        uid = Path(PARTS[suite].folder).name if row["group"] == "all" else row["group"]
        predictions = uids.setdefault(uid, {"predictions": []})["predictions"]
        text = row["context"] + row["target"] if suite == "comps" else row["target"]
        prediction = {"id": f"{uid}_{len(predictions)}", "pred": text}
        if "ratios" in scoring_of(table):
            prediction["prob"] = probability
        predictions.append(prediction)
    return uids


def _write(content: dict[str, Any], path: Path) -> None:
    with whole(path) as temporary:
        temporary.write_text(json.dumps(content, ensure_ascii=False), "utf-8")


def check_tree(folder: Path) -> tuple[list[str], list[str]]:
    """What RESULTS/MODEL/REVISION holds, and what is missing or does not fit, a line each.

    Raises InputError where the folder has no zero_shot/BACKEND, and for a file that is not JSON.
    """
    backends = sorted(path for path in (folder / "zero_shot").glob("*") if path.is_dir())
    if len(backends) != 1:
        raise InputError(
            f"{folder}: expected one folder zero_shot/BACKEND, found {len(backends)}; name the"
            " folder of a model's revision, such as results/MODEL/main"
        )
    present, problems = [], []
    for part in PARTS.values():
        path = backends[0] / part.folder / "predictions.json"
        if not path.is_file():
            problems.append(f"missing: {part.folder}/predictions.json")
            continue
        uids = read_json_object(path, "BabyLM predictions", MOST_BYTES)
        wrong = _check_part(part, uids)
        problems += [f"{part.folder}: {line}" for line in wrong]
        if not wrong:
            present.append(f"{part.folder}: {part.n_items:,} predictions of {part.n_uids} UIDs")
    for pattern in OTHERS:
        if not any(folder.glob(pattern)):
            problems.append(f"missing: {pattern}, which lmcore does not write")
    return present, problems


def _check_part(part: Part, uids: dict[str, Any]) -> list[str]:
    """What does not fit in the predictions of one task."""
    problems = []
    sizes = {}
    for uid, content in uids.items():
        predictions = content.get("predictions") if isinstance(content, dict) else None
        if not isinstance(predictions, list):
            return [f"{uid} has no list of predictions"]
        sizes[uid] = len(predictions)
        problems += _check_order(uid, predictions)
    if len(uids) != part.n_uids:
        problems.append(f"{len(uids)} UIDs, expected {part.n_uids}")
    if sum(sizes.values()) != part.n_items:
        problems.append(f"{sum(sizes.values()):,} predictions, expected {part.n_items:,}")
    for uid, size in part.sizes.items():
        if sizes.get(uid, 0) != size:
            problems.append(f"{uid} has {sizes.get(uid, 0):,} predictions, expected {size:,}")
    return problems


def _check_order(uid: str, predictions: list[Any]) -> list[str]:
    """The first prediction of a UID that is none, or not in its place."""
    for number, prediction in enumerate(predictions):
        if not isinstance(prediction, dict) or not isinstance(prediction.get("pred"), str):
            return [f"{uid}: prediction {number} has no text `pred`"]
        if prediction.get("id") != f"{uid}_{number}":
            return [f"{uid}: prediction {number} has the id {prediction.get('id')!r}"]
    return []
