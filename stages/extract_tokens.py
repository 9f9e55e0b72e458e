"""Stage: write what one model says about every token of one suite's items."""

from pathlib import Path

from lmcore.scoring.extract import extract_tokens
from stages.stage import call, fingerprint, run, work_folder


def main(model: str, suite: str) -> None:
    call(
        extract_tokens,
        "extract_tokens",
        model=Path("data/models") / model,
        items=Path("data/items") / f"{suite}.parquet",
        out=Path("data/tokens") / model / suite,
        work=work_folder(),
        code=fingerprint("extract_tokens"),
    )


if __name__ == "__main__":
    run(main)
