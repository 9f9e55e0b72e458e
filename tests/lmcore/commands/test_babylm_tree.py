"""The files of the BabyLM evaluation of 2025 and 2026 are written and read back."""

import json
import shutil
from pathlib import Path

import pytest

from lmcore.commands import babylm_tree
from lmcore.commands.babylm_tree import OTHERS, PARTS, check_tree, write_tree
from lmcore.errors import InputError
from lmcore.files import write_json
from lmcore.logs.open import read_logs
from lmcore.suites.build import build_suite
from lmcore.tables import ITEMS, TOKENS, write
from tests.lmcore.suites.test_build import jsonl
from tests.lmcore.token_tables import tokens_of

PAIRS = {
    "hypernym": [
        {"sentence_good": f"A dog {n}.", "sentence_bad": f"A cat {n} too."} for n in range(3)
    ],
    "turn_taking": [{"sentence_good": "Same", "sentence_bad": "Same"}],
}
COMPS = [
    {
        "prefix_acceptable": "A beaver",
        "prefix_unacceptable": "An old gorilla",
        "property_phrase": "has a flat tail.",
    }
]
FILES = {
    "blimp_supplement": PAIRS,
    "comps": {"comps_base": COMPS, "comps_wugs_dist-before": COMPS},
}


def cost(draw: int, before: tuple[str, ...], word: str) -> float:
    """The log-prob of a word: short words after short texts are probable."""
    return -float(len(word) + sum(map(len, before)))


@pytest.fixture
def data(tmp_path: Path, tokenizer: Path) -> Path:
    """The folder of a pipeline with two small suites and a model that likes short words."""
    model = tmp_path / "models/my.model"
    shutil.copytree(tokenizer, model)
    write_json({"model_type": "lmcore_dummy", "vocab_size": 300}, model / "config.json")
    for suite, files in FILES.items():
        n_items = sum(len(records) for records in files.values())
        for name, records in files.items():
            (tmp_path / "raw" / suite).mkdir(parents=True, exist_ok=True)
            jsonl(tmp_path / "raw" / suite / f"{name}.jsonl", records)
        entry = {"path": str(tmp_path / "raw" / suite), "convention": "babylm2025"}
        items = build_suite(suite, entry | {"items": n_items}, tmp_path, tmp_path)
        write(items, ITEMS, tmp_path / "items" / f"{suite}.parquet")
        tokens = tokens_of(items, cost)
        folder = tmp_path / "tokens" / "my.model" / suite
        write(tokens, TOKENS, folder / "part-00000.parquet")
    return tmp_path


@pytest.fixture
def small(monkeypatch):
    """The published sizes are those of the small suites, and nothing else is asked for."""
    sizes = {"blimp_supplement": (2, 4), "comps": (2, 2)}
    parts = {}
    for suite, (n_uids, n_items) in sizes.items():
        parts[suite] = PARTS[suite]._replace(n_uids=n_uids, n_items=n_items, sizes={})
    monkeypatch.setattr(babylm_tree, "PARTS", parts)
    monkeypatch.setattr(babylm_tree, "OTHERS", ())


def test_tree_is_written_and_read_back_whole(data, small, tmp_path):
    out = tmp_path / "results"
    assert write_tree("my.model", data, out) == {"blimp_supplement": 4, "comps": 2}
    # as pathlib's stem cuts it
    present, problems = check_tree(out / "my" / "main")
    assert problems == []
    assert present == [
        "blimp/supplement_filtered: 4 predictions of 2 UIDs",
        "comps/comps: 2 predictions of 2 UIDs",
    ]
    tree = out / "my/main/zero_shot/causal"
    comps = json.loads((tree / "comps/comps/predictions.json").read_text())
    assert comps["wugs_dist_before"]["predictions"] == [
        {"id": "wugs_dist_before_0", "pred": "A beaver has a flat tail."}
    ]
    collated = json.loads((out / "my/all_full_preds_and_fast_scores_causal.json").read_text())
    assert set(collated) == {"blimp_supplement", "comps"}


def test_ties_are_the_first_option_and_our_importer_reads_the_tree(data, small, tmp_path):
    write_tree("my.model", data, tmp_path / "results")
    (tmp_path / "answers").mkdir()
    (tmp_path / "raw/blimp_supplement").rename(tmp_path / "answers/supplement_filtered")
    (tmp_path / "raw/comps").rename(tmp_path / "answers/comps")
    evaluations = read_logs(tmp_path / "results", tmp_path / "answers")
    tasks = {evaluation.task: evaluation for evaluation in evaluations}
    assert set(tasks) == {"supplement_filtered", "comps"}
    values = [item.values["acc"][0] for item in tasks["supplement_filtered"].items]
    assert values == [1, 1, 1, 1]


def test_what_is_missing_or_in_another_order_is_named(data, small, tmp_path):
    write_tree("my.model", data, tmp_path / "results")
    folder = tmp_path / "results/my/main"
    path = folder / "zero_shot/causal/blimp/supplement_filtered/predictions.json"
    uids = json.loads(path.read_text())
    uids["hypernym"]["predictions"].reverse()
    del uids["turn_taking"]
    path.write_text(json.dumps(uids))
    (folder / "zero_shot/causal/comps/comps/predictions.json").unlink()
    _, problems = check_tree(folder)
    assert problems == [
        "blimp/supplement_filtered: hypernym: prediction 0 has the id 'hypernym_2'",
        "blimp/supplement_filtered: 1 UIDs, expected 2",
        "blimp/supplement_filtered: 3 predictions, expected 4",
        "missing: comps/comps/predictions.json",
    ]


def test_suite_of_another_convention_and_a_folder_that_is_none_are_refused(data, tmp_path):
    entry = {"path": str(tmp_path / "raw/comps"), "items": 2}
    write(build_suite("comps", entry, data, data), ITEMS, data / "items/comps.parquet")
    with pytest.raises(InputError, match="suite 'comps' was not scored as BabyLM's evaluation"):
        write_tree("my.model", data, tmp_path / "results")
    with pytest.raises(InputError, match="expected one folder zero_shot/BACKEND, found 0"):
        check_tree(tmp_path)


def test_what_others_wrote_is_found_where_the_evaluation_puts_it(
    data, small, tmp_path, monkeypatch
):
    monkeypatch.setattr(babylm_tree, "OTHERS", OTHERS)
    write_tree("my.model", data, tmp_path / "results")
    folder = tmp_path / "results/my/main"
    _, problems = check_tree(folder)
    assert len(problems) == 9
    assert problems[0].startswith("missing: zero_shot/*/reading/predictions.json, which lmcore")
    for pattern in OTHERS:
        write_json({}, folder / pattern.replace("*", "causal"))
    assert check_tree(folder)[1] == []


def test_published_sizes_add_up():
    for suite, part in PARTS.items():
        if part.sizes:
            assert sum(part.sizes.values()) == part.n_items, suite
            assert len(part.sizes) == part.n_uids, suite
