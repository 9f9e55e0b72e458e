"""The report's curves: seeds of a recipe are one line with a band, checkpoints lie over words."""

from pathlib import Path

import pytest

from lmcore.files import write_json
from lmcore.report.curves import checkpoints_section, loss_section
from lmcore.report.figures import figures_of
from lmcore.report.results import Results
from tests.lmcore.figures.test_figures import rows_of

RECIPES = {"small": ["a", "b"]}


def write_curves(folder: Path, losses: dict[str, tuple[float, float]]) -> dict[str, Path]:
    """Loss curves of two steps each, of these dev losses."""
    paths = {}
    for model, (first, second) in losses.items():
        paths[model] = folder / f"{model}.csv"
        rows = f"10,{first + 1},{first}\n20,{second + 1},{second}\n"
        paths[model].write_text(f"step,train_loss,dev_loss\n{rows}")
    return paths


def test_seeds_of_a_recipe_are_one_curve_with_a_band(tmp_path: Path) -> None:
    paths = write_curves(tmp_path, {"a": (6, 4), "b": (5, 4.5), "other": (7, 6)})
    html = loss_section(paths, RECIPES)
    figures = figures_of(html)
    assert list(figures) == ["loss", "loss-small", "loss-other"]
    dev = [row for row in rows_of(figures["loss-small"]) if row["split"] == "dev"]
    assert dev == [
        {"split": "dev", "step": 10.0, "loss": 5.5, "loss_low": 5.0, "loss_high": 6.0},
        {"split": "dev", "step": 20.0, "loss": 4.25, "loss_low": 4.0, "loss_high": 4.5},
    ]
    assert "Means over 2 seeds: lowest dev loss 4.250 at step 20." in html
    together = rows_of(figures["loss"])
    assert [row["model"] for row in together] == ["small", "small", "other", "other"]
    assert "loss_low" not in together[2]
    alone = figures_of(loss_section(paths, {"small": ["a"]}))
    assert list(alone) == ["loss", "loss-a", "loss-b", "loss-other"]
    assert loss_section({}, {}) == ""


@pytest.fixture
def results() -> Results:
    """Two trainings of one recipe, each with a checkpoint, on a suite of pairs and one of text."""
    accuracies = {"a_1M": 0.5, "a": 0.7, "b_1M": 0.6, "b": 0.8}
    metrics = {
        model: {"pairs": {"accuracy": accuracy}, "text": {"bits_per_byte": 2 - accuracy}}
        for model, accuracy in accuracies.items()
    }
    kinds = {"pairs": "pairs", "text": "text"}
    return Results(list(accuracies), kinds, metrics, {}, 0.95, dict.fromkeys(kinds, ""))


def test_checkpoints_of_seeds_are_a_mean_and_a_band_over_words(
    results: Results, tmp_path: Path
) -> None:
    kept = {f"{model}_1M": {"model": model, "step": 5, "words": 1_000_000} for model in "ab"}
    for model in "ab":
        write_json({"words": 10_000_000, "steps": 50}, tmp_path / f"{model}.json")
    figures = figures_of(checkpoints_section(results, kept, tmp_path, RECIPES))
    assert list(figures) == ["checkpoints-pairs", "checkpoints-text"]
    first, last = rows_of(figures["checkpoints-pairs"])
    ends = {"value_low": 0.5, "value_high": 0.6}
    assert first == {"training": "small", "words": 1_000_000, "n": 2, "value": 0.55} | ends
    assert (last["words"], last["value"]) == (10_000_000, 0.75)
    alone = figures_of(checkpoints_section(results, kept, tmp_path, {}))
    rows = rows_of(alone["checkpoints-text"])
    assert [(row["training"], row["words"]) for row in rows] == [
        ("a", 1_000_000),
        ("a", 10_000_000),
        ("b", 1_000_000),
        ("b", 10_000_000),
    ]
    assert "value_low" not in rows[0]
    assert checkpoints_section(results, {}, tmp_path, RECIPES) == ""
