"""Stage: results of completion suites by the target's frequency and by the length of its context."""

from pathlib import Path

from lmcore.completions import analyse_completions
from stages.stage import call, params, run, section


def main() -> None:
    values = params()
    call(
        analyse_completions,
        "analyse_completions",
        models=list(values["models"]),
        suites=values["suites"],
        items=Path("data/items"),
        scores=Path("data/scores"),
        corpus=Path("data/corpus"),
        out=Path("data/findings/completions.parquet"),
        plots=Path("metrics/plots/completions"),
        confidence=section("aggregate.confidence"),
    )


if __name__ == "__main__":
    run(main)
