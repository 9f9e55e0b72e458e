"""Stage: fetch the masked LM and the sentence encoder that judge words in context, and verify them."""

from pathlib import Path

from lmcore.files import whole
from lmcore.sources import fetch
from stages.stage import call, run, section, work_folder


def main() -> None:
    with whole(Path("data/judges/fetched")) as folder:
        folder.mkdir()
        for name in section("fetch_judges"):
            call(fetch, f"fetch_judges.{name}", name=name, out=folder / name, downloads=work_folder() / "downloads")


if __name__ == "__main__":
    run(main)
