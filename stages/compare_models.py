"""Stage: compare models on the same items.

The results are differences, whether they are real, and in which groups.
"""

from pathlib import Path

from lmcore.comparing.model_pairs import compare_models
from lmcore.params.ranges import SomeEntries, SomeNames
from stages.stage import call, run, section


def main() -> None:
    call(
        compare_models,
        "compare_models",
        models=section("models", SomeNames),
        suites=section("suites", SomeEntries),
        scores=Path("data/scores"),
        summary=Path("metrics/comparisons.json"),
        out=Path("data/comparisons"),
        seeds=Path("metrics/seeds.json"),
        signal=Path("metrics/signal.json"),
    )


if __name__ == "__main__":
    run(main)
