"""Stage: how much of every suite stands word for word in the training text."""

from pathlib import Path

from lmcore.explorations.explore import count_overlap
from stages.stage import call, params, run


def main() -> None:
    call(
        count_overlap,
        "count_overlap",
        suites=list(params()["suites"]),
        items=Path("data/items"),
        corpus=Path("data/corpus"),
        out=Path("metrics/overlap.json"),
    )


if __name__ == "__main__":
    run(main)
