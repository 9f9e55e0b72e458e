"""Stage: fetch and verify the judges of words in context: a masked LM and a sentence encoder."""

from pathlib import Path
from typing import TypedDict

from lmcore.corpus.sources import Source, fetch
from lmcore.files import whole
from stages.stage import call, run, section, work_folder


class Judges(TypedDict):
    """Who judges words in context; both are needed."""

    masked_lm: Source
    encoder: Source


def main() -> None:
    with whole(Path("data/judges/fetched")) as folder:
        folder.mkdir()
        for name in section("fetch_judges", Judges):
            call(
                fetch,
                f"fetch_judges.{name}",
                name=name,
                out=folder / name,
                downloads=work_folder() / "downloads",
            )


if __name__ == "__main__":
    run(main)
