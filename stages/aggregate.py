"""Stage: aggregate the scores into the metrics that git tracks, and their intervals."""

from pathlib import Path

from lmcore.folds.metrics import aggregate
from lmcore.params.ranges import SomeNames
from lmcore.suites.declare import Suites
from stages.stage import call, run, section


def main() -> None:
    call(
        aggregate,
        "aggregate",
        models=section("models", SomeNames),
        suites=section("suites", Suites),
        scores=Path("data/scores"),
        out=Path("metrics/models"),
        intervals=Path("metrics/intervals.json"),
        headlines=Path("metrics/headline"),
    )


if __name__ == "__main__":
    run(main)
