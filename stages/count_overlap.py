"""Stage: count how much of every suite stands word for word in the training text."""

from pathlib import Path

from lmcore.corpus.overlap import count_overlap
from lmcore.params.ranges import SomeEntries
from stages.stage import call, run, section


def main() -> None:
    call(
        count_overlap,
        "count_overlap",
        suites=list(section("suites", SomeEntries)),
        items=Path("data/items"),
        corpus=Path("data/corpus"),
        out=Path("metrics/overlap.json"),
    )


if __name__ == "__main__":
    run(main)
