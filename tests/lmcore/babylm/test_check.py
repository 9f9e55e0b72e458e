"""A submission is checked as the official collation checks it; what does not fit is named."""

import json
from pathlib import Path

import pytest

from lmcore.babylm.check import check_revision, check_submission
from lmcore.babylm.collate import collated_name, write_submission
from lmcore.babylm.evaluations import GLUE, evaluation, sizes
from lmcore.babylm.export import subsets_by_task
from lmcore.babylm.tree import Project
from lmcore.errors import InputError
from lmcore.suites.declare import TASKS
from tests.lmcore.babylm.entries import CHECKPOINTS

REQUIRED = sorted(CHECKPOINTS.values())


@pytest.fixture
def submission(project: Project, tmp_path: Path) -> Path:
    """The folder of a submission to 2026."""
    words = {words: name for name, words in CHECKPOINTS.items()}
    out = tmp_path / "results"
    write_submission(project, evaluation(2026), "mine", words, REQUIRED, out, aoa=0.1)
    return out / "mine"


def predictions(folder: Path, place: str) -> Path:
    return folder / "main/zero_shot/causal" / place / "predictions.json"


def change(path: Path, edit) -> None:
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def test_small_sets_are_called_so_and_the_rest_is_named(submission, project):
    report = check_submission(submission, evaluation(2026), REQUIRED, subsets_by_task(project))
    assert report.subsets[0] == (
        "main/blimp/blimp_filtered: 4 predictions of 1 UIDs; subset: 4 of 59,875 items"
    )
    assert "main/reading: 5 predictions of words; subset: 5 of 1,726 items" in report.subsets
    assert report.missing == []
    assert report.not_scored == [
        f"{revision}/global_piqa_{kind}/global_piqa_{kind}/predictions.json"
        for revision in ("main", "chck_1M", "chck_2M")
        for kind in ("parallel", "nonparallel")
    ]
    # the classifiers' toy tasks have no number of their own
    assert report.wrong == [
        f"main/finetune/{task}: {task} has 10 predictions, expected {sizes()['glue'][task]:,}"
        for task in GLUE
    ]
    assert report.present == ["all_full_preds_and_fast_scores_causal.json: 12 keys, 2 checkpoints"]


def test_without_the_declared_sizes_every_part_is_wrong(submission):
    report = check_revision(submission / "main", evaluation(2026), is_fast=False)
    assert "comps/comps: base has 1 predictions, expected 49,340" in report.wrong
    assert "reading: reading has 5 predictions, expected 1,726" in report.wrong
    assert not report.present and not report.is_complete


def test_checkpoints_that_the_track_asks_for_are_missed(submission, project):
    required = [*REQUIRED, 3_000_000]
    report = check_submission(submission, evaluation(2026), required, subsets_by_task(project))
    assert "chck_3M: the whole checkpoint" in report.missing
    assert "main/AoA_word: chck_3M is missing" in report.wrong
    name = collated_name("causal")
    assert f"{name}: fast_eval_results: 'blimp' needs 3 entries, one a checkpoint" in report.wrong


@pytest.mark.parametrize(
    ("place", "edit", "line"),
    [
        (
            "comps/comps",
            lambda uids: uids["base"]["predictions"][0].update(id="base_7"),
            "comps/comps: base: prediction 0 has the id 'base_7'",
        ),
        (
            "comps/comps",
            lambda uids: uids["base"]["predictions"][0].update(pred=3),
            "comps/comps: base: prediction 0 has no text `pred`",
        ),
        (
            "comps/comps",
            lambda uids: uids["base"].clear(),
            "comps/comps: base has no list of predictions",
        ),
        (
            "comps/comps",
            lambda uids: uids["base"]["predictions"].insert(0, "text"),
            "comps/comps: base: prediction 0 is no object",
        ),
        (
            "blimp/blimp_filtered",
            lambda uids: uids["principle_A_case_1"]["predictions"].reverse(),
            "blimp/blimp_filtered: principle_A_case_1: prediction 0 has the id"
            " 'principle_A_case_1_3'",
        ),
        (
            "reading",
            lambda uids: uids["reading"]["predictions"][1].pop("prev_pred"),
            "reading: reading: prediction 1 has no number `prev_pred`",
        ),
    ],
)
def test_what_does_not_fit_is_named(place, edit, line, submission, project):
    change(predictions(submission, place), edit)
    report = check_submission(submission, evaluation(2026), REQUIRED, subsets_by_task(project))
    assert f"main/{line}" in report.wrong
    if place != "reading":
        wrong = f"is not what main/{place} holds"
        assert any(line.endswith(wrong) for line in report.wrong)


def test_labels_surprisals_and_the_collated_file_are_checked(submission, project):
    glue = submission / "main/finetune/rte/predictions.json"
    change(glue, lambda uids: uids["rte"]["predictions"][2].update(pred="entailment"))
    surprisal = submission / "main/zero_shot/causal/AoA_word/surprisal.json"
    change(surprisal, lambda content: content["results"][0].update(surprisal=None))
    (submission / "main/zero_shot/causal/AoA_word/aoa_score.json").unlink()
    (submission / collated_name("causal")).unlink()
    report = check_submission(submission, evaluation(2026), REQUIRED, subsets_by_task(project))
    assert "main/finetune/rte: rte: prediction 2 has no whole number `pred`" in report.wrong
    assert any("no results with step and surprisal" in line for line in report.wrong)
    assert "main/AoA_word/aoa_score.json" in report.missing
    assert collated_name("causal") in report.missing


def test_folder_that_is_none_and_a_file_that_is_no_json_are_refused(submission, tmp_path):
    with pytest.raises(InputError, match="has no folder 'main'"):
        check_submission(tmp_path, evaluation(2026), REQUIRED)
    with pytest.raises(InputError, match="expected one folder zero_shot/BACKEND, found 0"):
        check_revision(tmp_path, evaluation(2026), is_fast=False)
    predictions(submission, "comps/comps").write_text("{")
    with pytest.raises(InputError, match="cannot be read as JSON"):
        check_submission(submission, evaluation(2026), REQUIRED)


@pytest.mark.parametrize("year", [2025, 2026])
def test_published_sizes_are_those_of_the_tasks(year):
    found = evaluation(year)
    for part in (*found.full, *found.fast):
        task = TASKS[part.task]
        if not part.without:
            assert (part.n_items, len(part.sizes)) == (task.n_items, task.n_groups or 1), part.key
    filtered = {part.key: part for part in evaluation(2026).full}["entity_tracking_filtered"]
    assert (filtered.n_items, len(filtered.sizes)) == (6_780, 18)


def test_other_year_is_refused():
    with pytest.raises(InputError, match="BabyLM 2024 is not known"):
        evaluation(2024)
