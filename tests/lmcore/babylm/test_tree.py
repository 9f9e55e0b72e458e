"""The tree of predictions is written, and read back as the official collation reads it.

The oracle writes the collation's rules out anew, as lmcore.babylm.evaluations cites them.
"""

import json
import math
from pathlib import Path

import pytest
from scipy.stats import spearmanr

from lmcore.babylm.collate import write_submission
from lmcore.babylm.evaluations import GLUE, evaluation
from lmcore.babylm.tree import MAIN, Project, built_project, write_revision
from lmcore.errors import InputError
from lmcore.files import write_json
from lmcore.logs.open import read_logs
from lmcore.suites.build import build_suite
from lmcore.tables import ITEMS, write
from tests.lmcore.babylm.entries import CHECKPOINTS, FILES, WUGS

REQUIRED = [1_000_000, 2_000_000, 3_000_000]
FOLDERS = {
    "blimp": "blimp/blimp_filtered",
    "blimp_supplement": "blimp/supplement_filtered",
    "ewok": "ewok/ewok_filtered",
    "entity_tracking": "entity_tracking/entity_tracking",
    "entity_tracking_filtered": "entity_tracking/entity_tracking",
    "comps": "comps/comps",
    "wug_adj": "wug_adj/wug_adj_nominalization",
    "wug_past": "wug_past/wug_past_tense",
}
KEYS = {
    2025: {
        *("blimp", "blimp_supplement", "ewok", "entity_tracking", "wug_adj", "wug_past", "comps"),
        *("reading", "aoa", "glue", "fast_eval_results"),
    },
    2026: {
        *("blimp", "blimp_supplement", "ewok", "entity_tracking_filtered", "comps"),
        *("global_piqa_parallel", "global_piqa_nonparallel", "reading", "aoa", "aoa_surprisals"),
        *("glue", "fast_eval_results"),
    },
}


def submit(project: Project, year: int, out: Path, model: str = "mine", aoa: float | None = 0.25):
    words = {words: name for name, words in CHECKPOINTS.items()}
    return write_submission(project, evaluation(year), model, words, REQUIRED, out, aoa=aoa)


def loaded(path: Path):
    return json.loads(path.read_text())


def right_text(record: dict, year: int) -> str:
    """The text that the official scoring compares a prediction with."""
    if "sentence_good" in record:
        return record["sentence_good"]
    if "options" in record:
        return record["options"][0]
    if "prefix_acceptable" in record:
        return f"{record['prefix_acceptable']} {record['property_phrase']}"
    if year == 2026:
        return f"{record['Context1']} {record['Target1']}"
    return record["Target1"]


def records_by_uid(files: dict[str, list[dict]], year: int) -> dict[str, list[dict]]:
    """The data of a suite by UID, in the order of their lines."""
    found: dict[str, list[dict]] = {}
    for stem, records in files.items():
        for record in records:
            if "options" in record and year == 2026:
                if any("nothing" in option for option in record["options"]):
                    continue
                uid = f"{stem}_{record['numops']}_ops"
            elif "options" in record:
                uid = f"{stem}_{record['numops']}_ops"
            elif "property_phrase" in record:
                uid = stem.removeprefix("comps_").replace("-", "_")
            else:
                uid = record.get("UID") or record.get("Domain") or stem
            found.setdefault(uid, []).append(record)
    return found


def official_scores(predictions: dict, files: dict, year: int) -> dict[str, float]:
    """{UID: share of right predictions}, as the official collation and scoring compute it."""
    data = records_by_uid(files, year)
    assert set(predictions) == set(data)
    scores = {}
    for uid, content in predictions.items():
        asked = data[uid]
        assert len(content["predictions"]) == len(asked)
        n_right = 0
        for number, (prediction, record) in enumerate(zip(content["predictions"], asked)):
            assert prediction["id"] == f"{uid}_{number}"
            n_right += prediction["pred"].strip() == right_text(record, year).strip()
        scores[uid] = n_right / len(asked)
    return scores


@pytest.mark.parametrize("year", [2025, 2026])
def test_collated_file_is_what_the_official_collation_reads(year, project, tmp_path):
    out = tmp_path / "results"
    submit(project, year, out)
    content = loaded(out / "mine/all_full_preds_and_fast_scores_causal.json")
    assert set(content) == KEYS[year]
    zero_shot = out / "mine" / MAIN / "zero_shot/causal"
    for part in evaluation(year).full:
        assert part.folder == FOLDERS[part.key]
        assert content[part.key] == loaded(zero_shot / part.folder / "predictions.json")
        if not part.is_graded:
            official_scores(content[part.key], FILES[part.task], year)
    assert list(content["glue"]) == list(GLUE)
    for task, of_task in content["glue"].items():
        assert [entry["id"] for entry in of_task["predictions"]] == [
            f"{task}_{number}" for number in range(10)
        ]
        # seed 42, not 7, whose first label is wrong
        assert of_task["predictions"][0]["pred"] == 0
    acquired = content["aoa" if year == 2025 else "aoa_surprisals"]
    if year == 2026:
        assert content["aoa"] == {"aoa": 0.25}
        assert content["global_piqa_parallel"] is None
    assert {result["step"] for result in acquired["results"]} == {"chck_1M", "chck_2M"} or (
        year == 2025 and acquired["results"] == []
    )


@pytest.mark.parametrize("year", [2025, 2026])
def test_fast_scores_are_those_of_the_predictions_by_the_official_rule(year, project, tmp_path):
    out = tmp_path / "results"
    submit(project, year, out)
    fast = loaded(out / "mine/all_full_preds_and_fast_scores_causal.json")["fast_eval_results"]
    for part in evaluation(year).fast:
        entries = fast[part.key]
        assert len(entries) == 3 and entries[2] is None
        path = out / "mine/chck_1M/zero_shot/causal" / part.folder / "predictions.json"
        predictions = loaded(path)
        if part.is_graded:
            (uid,) = predictions
            of_model = [entry["prob"] for entry in predictions[uid]["predictions"]]
            of_people = [record["ratio"] for record in WUGS]
            expected = {uid: spearmanr(of_model, of_people)[0]}
        else:
            expected = official_scores(predictions, FILES[part.task], year)
        assert entries[0] == pytest.approx(expected, abs=1e-12)
    # the mean of 8 to 12, and of 3 to 6 for the words that one precedes, plus the model's number
    assert fast["reading"][0] == pytest.approx({"rt": 0.13, "spr": 0.045})


def test_reading_is_in_file_order_and_nan_without_a_previous_word(project, tmp_path):
    submit(project, 2026, tmp_path)
    path = tmp_path / "mine/main/zero_shot/causal/reading/predictions.json"
    assert '"prev_pred": NaN}' in path.read_text()
    predictions = loaded(path)["reading"]["predictions"]
    assert [prediction["id"] for prediction in predictions] == [0, 1, 2, 3, 4]
    assert [prediction["pred"] for prediction in predictions] == [0.5, 1.5, 2.5, 3.5, 4.5]
    assert math.isnan(predictions[0]["prev_pred"]) and predictions[1]["prev_pred"] == 1.25


def test_surprisals_of_words_are_by_checkpoint_word_and_context(project, tmp_path):
    submit(project, 2026, tmp_path)
    content = loaded(tmp_path / "mine/main/zero_shot/causal/AoA_word/surprisal.json")
    assert content["metadata"]["completed_steps"] == 2
    assert content["results"][3] == {
        "step": "chck_1M",
        "word_count": 1_000_000,
        "target_word": "dog",
        "context_id": 1,
        "context": "This 1 is a",
        "surprisal": 7.0,  # four characters, and the model's number
    }


def test_words_with_few_contexts_are_left_out_in_2025(project, tmp_path):
    submit(project, 2025, tmp_path)
    path = tmp_path / "mine/main/zero_shot/causal/AoA_word/surprisal.json"
    assert loaded(path)["results"] == []


def test_ties_are_the_first_option_in_2025_and_drawn_once_for_all_in_2026(project, tmp_path):
    submit(project, 2025, tmp_path / "a", "flat")
    submit(project, 2026, tmp_path / "b", "flat")
    submit(project, 2026, tmp_path / "c", "flat")
    place = "flat/main/zero_shot/causal/blimp/blimp_filtered/predictions.json"
    files = FILES["blimp_filtered"]
    first = official_scores(loaded(tmp_path / "a" / place), files, 2025)
    assert first == {"principle_A_case_1": 1.0}
    drawn = official_scores(loaded(tmp_path / "b" / place), files, 2026)
    assert 0 < drawn["principle_A_case_1"] < 1
    assert (tmp_path / "b" / place).read_bytes() == (tmp_path / "c" / place).read_bytes()


def test_our_importer_reads_the_tree_with_nan_in_it(project, tmp_path):
    submit(project, 2025, tmp_path / "results")
    answers = tmp_path / "answers"
    answers.mkdir()
    for suite, name in (("blimp_supplement", "supplement_filtered"), ("comps", "comps")):
        (project.data / "raw" / suite).rename(answers / name)
    zero_shot = tmp_path / "results/mine/main/zero_shot/causal"
    for task in ("ewok", "entity_tracking", "wug_adj", "wug_past", "blimp/blimp_filtered"):
        for path in (zero_shot / task).rglob("predictions.json"):
            path.unlink()
    evaluations = read_logs(tmp_path / "results/mine/main/zero_shot", answers)
    tasks = {found.task: found for found in evaluations}
    assert set(tasks) == {"supplement_filtered", "comps"}
    assert any("reading" in note for note in evaluations[0].notes)


@pytest.mark.parametrize("year", [2025, 2026])
def test_our_importer_finds_the_same_predictions_right(year, project, tmp_path):
    """EWoK's whole sentences, and entity tracking without what says nothing, too."""
    chosen = evaluation(year)
    folder = tmp_path / "results/mine/main"
    written = write_revision(project, chosen, "mine", folder, is_fast=False)
    (tmp_path / "answers").mkdir()
    for part in chosen.full:
        name = part.folder.rpartition("/")[2]
        (project.data / "raw" / part.task).rename(tmp_path / "answers" / name)
    tasks = {found.task: found for found in read_logs(folder, tmp_path / "answers")}
    for part in chosen.full:
        if part.is_graded:
            continue
        items = tasks[part.folder.rpartition("/")[2]].items
        for uid, expected in written.scores[part.key].items():
            right = [item.values["acc"][0] for item in items if item.group == uid]
            assert sum(right) / len(right) == expected


def test_what_was_not_scored_has_no_file_and_null_in_the_collated_one(project, tmp_path):
    for path in (project.tokens("mine", "comps") / "part-00000.parquet",):
        path.unlink()
    project.tokens("mine", "comps").rmdir()
    project.scores("mine", "reading").unlink()
    submission = submit(project, 2026, tmp_path)
    content = loaded(tmp_path / "mine/all_full_preds_and_fast_scores_causal.json")
    assert content["comps"] is None and content["reading"] is None
    assert "comps" not in submission.main.counts and "reading" not in submission.main.counts


def test_suite_scored_otherwise_is_refused_by_name(project, tmp_path):
    entry = {"path": str(project.data / "raw/comps"), "items": 2}
    items = build_suite("comps", entry, project.data, project.data)
    write(items, ITEMS, project.items("comps"))
    with pytest.raises(InputError, match="suite 'comps' was not scored as BabyLM's evaluation"):
        submit(project, 2026, tmp_path)


def test_project_of_a_data_folder_takes_suites_by_their_names(project, tmp_path):
    written = write_revision(
        built_project(project.data), evaluation(2026), "mine", tmp_path / "main", is_fast=True
    )
    assert written.counts == {
        "blimp_fast": 4,
        "supplement_fast": 4,
        "ewok_contexts_fast": 3,
        "entity_tracking_fast": 3,
        "reading": 5,
    }
    assert written.subsets["entity_tracking_fast"] == "subset: 4 of 3,152 items"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"gold": None}, "column 'gold' is missing"),
        ({"id": [0, 2]}, "expected the lines 0, 1"),
        ({"predicted": ["yes", "no"]}, "column 'predicted' must hold whole numbers"),
    ],
)
def test_table_of_a_classifier_that_is_none_is_refused(columns, message, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from lmcore.babylm.glue import read_classified

    table = {"seed": [42, 42], "id": [0, 1], "gold": [0, 1], "predicted": [0, 1]} | columns
    path = tmp_path / "predictions.parquet"
    pq.write_table(pa.table({name: of for name, of in table.items() if of is not None}), path)
    with pytest.raises(InputError, match=message):
        read_classified(path)
    write_json({}, path)
    with pytest.raises(InputError, match="not a readable Parquet table"):
        read_classified(path)
