"""Stage: what the explorations find in the tokens.

They look at formats and triggers, memorisation, strategies, and domains.
"""

from pathlib import Path

from lmcore.explorations.explore import explore_suites
from lmcore.params.ranges import Digits, OpenShare
from lmcore.suites.declare import Suites
from stages.stage import call, clear_leftovers, run, section


def main() -> None:
    clear_leftovers("data/models", "data/tokens")
    call(
        explore_suites,
        "explore_suites",
        suites=section("suites", Suites),
        items=Path("data/items"),
        tokens=Path("data/tokens"),
        model_folder=Path("data/models"),
        out=Path("data/explorations"),
        metrics=Path("metrics/explorations"),
        details=Path("metrics/explorations.json"),
        plots=Path("metrics/plots/explorations"),
        confidence=section("aggregate.confidence", OpenShare),
        digits=section("aggregate.digits", Digits),
    )


if __name__ == "__main__":
    run(main)
