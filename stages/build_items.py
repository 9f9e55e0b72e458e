"""Stage: turn every suite of params.yaml into a table of items to score."""

from pathlib import Path

from lmcore.tasks.suite import build_items
from stages.stage import params, run


def main() -> None:
    build_items(params()["suites"], Path("data/sources"), Path("data/corpus"), Path("data/items"))


if __name__ == "__main__":
    run(main)
