"""Stage: fold every model's tokens on every suite into one score an item and metric."""

from pathlib import Path

from lmcore.folds import fold_scores
from lmcore.positions import fold_positions
from stages.stage import call, params, run


def main() -> None:
    values = params()
    call(
        fold_scores,
        "fold_scores",
        models=list(values["models"]),
        suites=values["suites"],
        items=Path("data/items"),
        tokens=Path("data/tokens"),
        model_folder=Path("data/models"),
        out=Path("data/scores"),
    )
    plots = Path("metrics/plots/positions")
    fold_positions(list(values["models"]), values["suites"], Path("data/items"), Path("data/tokens"), plots)


if __name__ == "__main__":
    run(main)
