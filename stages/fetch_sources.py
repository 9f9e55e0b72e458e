"""Stage: fetch the pinned sources and verify them."""

from pathlib import Path

from lmcore.corpus.sources import Sources, fetch
from lmcore.files import whole
from stages.stage import call, run, section, work_folder


def main() -> None:
    with whole(Path("data/sources")) as folder:
        folder.mkdir()
        for name in section("fetch_sources", Sources):
            call(
                fetch,
                f"fetch_sources.{name}",
                name=name,
                out=folder / name,
                downloads=work_folder() / "downloads",
            )


if __name__ == "__main__":
    run(main)
