"""Stage: train the masked LM on the corpus until its loss shows that it can judge."""

from pathlib import Path

from lmcore.files import write_json
from lmcore.judging.masked_lm import finetune_judge
from stages.stage import call, run


def main() -> None:
    counts = call(
        finetune_judge,
        "finetune_judge",
        source=Path("data/judges/fetched/masked_lm"),
        corpus=Path("data/corpus"),
        out=Path("data/judges/masked_lm"),
    )
    write_json(counts, Path("metrics/judge.json"))


if __name__ == "__main__":
    run(main)
