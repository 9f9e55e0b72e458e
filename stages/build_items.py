"""Stage: turn every suite of params.yaml into a table of items to score."""

from pathlib import Path

from lmcore.tasks.suite import Suites, build_items
from stages.stage import run, section


def main() -> None:
    build_items(section("suites", Suites), Path("data/sources"), Path("data/corpus"), Path("data/items"))


if __name__ == "__main__":
    run(main)
