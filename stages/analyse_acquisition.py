"""Stage: when a model acquires words over its checkpoints, beside the ages of children."""

from pathlib import Path

from lmcore.analysis.acquisition import analyse_acquisition
from lmcore.params.ranges import Digits, OpenShare
from lmcore.training.kept import KeptSteps
from stages.stage import call, clear_leftovers, run, section


def main(name: str) -> None:
    clear_leftovers("data/models", "metrics/train")
    call(
        analyse_acquisition,
        f"analyse_acquisition.{name}",
        kept=section("keep_checkpoint", KeptSteps),
        models=Path("data/models"),
        scores=Path("data/scores"),
        trained=Path("metrics/train"),
        out=Path("data/acquisition") / f"{name}.parquet",
        metrics=Path("metrics/acquisition") / f"{name}.json",
        confidence=section("aggregate.confidence", OpenShare),
        digits=section("aggregate.digits", Digits),
    )


if __name__ == "__main__":
    run(main)
