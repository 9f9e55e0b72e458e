"""Stage: let BERT judge the words that models put in the place of a suite's last words."""

from pathlib import Path

from lmcore.judging.judges import judge_context
from lmcore.params.ranges import Digits, Name
from stages.stage import call, clear_leftovers, run, section


def main() -> None:
    clear_leftovers("data/models")
    call(
        judge_context,
        "judge_context",
        without=("suite",),
        model_folder=Path("data/models"),
        items=Path("data/items") / f"{section('judge_context.suite', Name)}.parquet",
        masked_lm=Path("data/judges/masked_lm"),
        encoder=Path("data/judges/fetched/encoder"),
        out=Path("data/context_validity.parquet"),
        metrics=Path("metrics/context_validity.json"),
        digits=section("aggregate.digits", Digits),
    )


if __name__ == "__main__":
    run(main)
