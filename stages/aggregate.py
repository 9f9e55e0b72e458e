"""Stage: aggregate the scores into the metrics that git tracks, and their intervals."""

from pathlib import Path

from lmcore.metrics import aggregate
from stages.stage import call, params, run


def main() -> None:
    values = params()
    call(
        aggregate,
        "aggregate",
        models=list(values["models"]),
        suites=values["suites"],
        scores=Path("data/scores"),
        out=Path("metrics/models"),
        intervals=Path("metrics/intervals.json"),
    )


if __name__ == "__main__":
    run(main)
