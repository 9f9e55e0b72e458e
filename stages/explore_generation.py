"""Stage: explore how models write.

It compares sampling strategies, checks whether a text can be generated again, and blends prompts by
weight.
"""

from pathlib import Path

from lmcore.explorations.strategies import explore_generation
from lmcore.params.ranges import Digits
from stages.stage import call, clear_leftovers, run, section


def main() -> None:
    clear_leftovers("data/models")
    call(
        explore_generation,
        "explore_generation",
        model_folder=Path("data/models"),
        metrics=Path("metrics/generation.json"),
        digits=section("aggregate.digits", Digits),
    )


if __name__ == "__main__":
    run(main)
