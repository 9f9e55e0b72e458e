"""Stage: write what one model says about every token of every suite's items."""

from pathlib import Path

from lmcore.params.ranges import SomeEntries
from lmcore.params.scored import suites_of_model
from lmcore.scoring.extract import extract_suites
from stages.stage import call, fingerprint, run, section, work_folder


def main(model: str) -> None:
    call(
        extract_suites,
        "extract_tokens",
        model=Path("data/models") / model,
        items=Path("data/items"),
        suites=list(suites_of_model(section("suites", SomeEntries), model)),
        out=Path("data/tokens") / model,
        work=work_folder(),
        code=fingerprint("extract_tokens"),
    )


if __name__ == "__main__":
    run(main)
