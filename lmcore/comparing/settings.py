"""The settings of comparisons: a section of params.yaml goes in, arguments come out."""

from typing import Any, NamedTuple


class Settings(NamedTuple):
    """The keys of the section compare_models of params.yaml that a diff needs."""

    metrics: list[str]
    recipes: dict[str, list[str]] | None
    average: dict[str, list[str]] | None
    clusters: list[str] | None
    margin: dict[str, float] | None
    confidence: float
    interval: str
    correction: str
    group_correction: str
    power: float
    resamples: int
    seed: int

    def for_compare(self) -> dict[str, Any]:
        """The settings of `lmcore.comparing.comparison.compare`."""
        return {
            "confidence": self.confidence,
            "interval": self.interval,
            "resamples": self.resamples,
            "seed": self.seed,
        }

    def for_judge(self) -> dict[str, float]:
        """The levels at which `lmcore.comparing.comparison.judge` decides."""
        return {"confidence": self.confidence, "power": self.power}
