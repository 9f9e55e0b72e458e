"""Stage: fold every model's tokens on every suite into one score for each item and metric."""

from pathlib import Path

from lmcore.folds.fold import fold_scores
from lmcore.params.ranges import SomeNames
from lmcore.suites.declare import Suites
from stages.stage import call, clear_leftovers, run, section


def main() -> None:
    clear_leftovers("data/models", "data/tokens")
    call(
        fold_scores,
        "fold_scores",
        models=section("models", SomeNames),
        suites=section("suites", Suites),
        items=Path("data/items"),
        tokens=Path("data/tokens"),
        model_folder=Path("data/models"),
        out=Path("data/scores"),
        positions=Path("metrics/plots/positions"),
    )


if __name__ == "__main__":
    run(main)
