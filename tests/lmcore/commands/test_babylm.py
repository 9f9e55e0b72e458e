"""The commands export-babylm, check-babylm and leaderboard."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from lmcore.babylm.tree import Project
from lmcore.commands.main import app
from tests.lmcore.babylm.entries import make_entry, short_is_probable


@pytest.fixture
def project(tmp_path: Path, tokenizer: Path) -> Project:
    return make_entry(
        tmp_path / "data", tokenizer, dict.fromkeys(["mine", "chck"], short_is_probable)
    )


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_export_writes_checkpoints_and_check_names_what_is_missing(project, tmp_path):
    out = tmp_path / "results"
    exported = run(
        "export-babylm", "mine", "--year", 2026, "--out", out, "--data", project.data,
        *("--checkpoint", "1000000=chck", "--words", 1_000_000),
    )  # fmt: skip
    assert exported.exit_code == 0 and "4 predictions of blimp_filtered" in exported.stdout
    checked = run("check-babylm", out / "mine", "--words", 1_000_000)
    assert checked.exit_code == 1
    other = "missing, and not scored by lmcore: main/global_piqa_parallel/global_piqa_parallel"
    assert other in checked.stdout
    assert "chck_1M/comps" not in checked.stdout
    assert "main/comps/comps: base has 1 predictions, expected 49,340" in checked.stdout
    of_checkpoint = run("check-babylm", out / "mine/chck_1M")
    assert of_checkpoint.exit_code == 1 and "ewok/ewok_fast" in of_checkpoint.stdout
    assert "finetune" not in of_checkpoint.stdout


def test_leaderboard_is_written_from_scores(project, tmp_path):
    page = tmp_path / "page.html"
    written = run("leaderboard", "mine", "--out", page, "--data", project.data, "--year", 2025)
    assert written.exit_code == 0 and written.stdout == f"{page}: 1 models\n"
    assert "GPT-BERT causal-focus (2025)" in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export-babylm", "mine", "--year", 2023], "--year: must be 2024, 2025 or 2026"),
        (
            ["export-babylm", "mine", "--year", 2026, "--checkpoint", "1M=chck"],
            "--checkpoint: expected WORDS=MODEL, such as 1000000=mine_chck_1m, not '1M=chck'",
        ),
        (["export-babylm", "none", "--year", 2026], "none"),
        (["export-babylm", "mine", "--year", 2026, "--track", "loose"], "unknown track 'loose'"),
        (["leaderboard", "mine", "--year", 2024], "BabyLM 2024 is not known"),
        (["leaderboard", "none"], "none of BabyLM's tasks of 2026 was scored"),
    ],
)
def test_what_was_asked_for_wrongly_is_one_line(arguments, message, project, tmp_path):
    result = run(*arguments, "--out", tmp_path / "out", "--data", project.data)
    assert result.exit_code == 1 and message in result.stderr
    assert result.stderr.count("\n") == 1 and not (tmp_path / "out").exists()
