"""Stage: results of completion suites by the target's frequency and its context's length."""

from pathlib import Path

from lmcore.analysis.completions import analyse_completions
from lmcore.params.ranges import OpenShare, SomeNames
from lmcore.suites.declare import Suites
from stages.stage import call, run, section


def main() -> None:
    call(
        analyse_completions,
        "analyse_completions",
        models=section("models", SomeNames),
        suites=section("suites", Suites),
        items=Path("data/items"),
        scores=Path("data/scores"),
        corpus=Path("data/corpus"),
        out=Path("data/findings/completions.parquet"),
        plots=Path("metrics/plots/completions"),
        confidence=section("aggregate.confidence", OpenShare),
    )


if __name__ == "__main__":
    run(main)
