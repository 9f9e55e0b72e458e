"""Published scores of BabyLM's baselines, each with its source, from baselines.yaml."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

from lmcore.params import yaml_text

FILE = Path(__file__).with_suffix(".yaml")


class Baseline(NamedTuple):
    name: str
    source: str
    scores: dict[str, float]  # by rule, in per cent


@cache
def baselines(track: str) -> list[Baseline]:
    """Those of a track, in the order of the file."""
    tracks = yaml_text.load_mapping(FILE.read_text("utf-8"), FILE)
    return [Baseline(**entry) for entry in tracks.get(track, [])]
