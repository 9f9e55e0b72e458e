"""The words of the leaderboard's page: a board goes in, what lmcore.report.leaderboard draws comes
out.
"""

from collections.abc import Mapping

from lmcore.babylm.board import Board, Row
from lmcore.babylm.check import Report
from lmcore.babylm.evaluations import AOA, Evaluation
from lmcore.babylm.scores import Score
from lmcore.report.leaderboard import Line, Page, Shown, Table, leaderboard

FOOTER = (
    "Made by lmcore. Intervals are over items: they speak of other items of the same kind, not of"
    " another training run."
)
TIE_WORDS = {
    "first": (
        "If options are tied, the official pipeline of 2025 takes the first, which is the right"
        " one: a tie counts as right."
    ),
    "drawn": (
        "If options are tied, the official pipeline of 2026 draws one of them; here the draw is by"
        " the item's content, so that it repeats. That of 2025 took the first, the right one."
    ),
}


def leaderboard_page(
    board: Board,
    evaluation: Evaluation,
    track: str,
    confidence: float,
    reports: Mapping[str, Report],
) -> str:
    """The page as HTML; `reports` say by model what its submission lacks."""
    title = f"BabyLM {evaluation.year}, {track.replace('_', '-')}: a local leaderboard"
    lead = (
        "One row a model, one column a task; scores in per cent. A dash is a task that was not"
        " scored, or not published under this year's rule. Rows with an overall mean come first,"
        " the highest on top; the others follow by BLiMP."
    )
    tables = {
        "official": Table(
            "By the official rule",
            f"What the predictions in the tree score. {TIE_WORDS[evaluation.tie_rule]}",
            [_line(board, row, "official") for row in board.rows],
        ),
        "ours": Table(
            "Without a bonus for ties",
            "A tie counts what guessing would give: one half of two options. Ranges are"
            f" {100 * confidence:g} % intervals over items. Two models are tied on a task where"
            " their paired difference over its items is within noise, after Holm's correction for"
            " all pairs and tasks of this page. A published score has no items to pair: it is"
            " named where it lies inside the model's own range on the whole task.",
            [_line(board, row, "ours") for row in board.rows if not row.source],
        ),
    }
    page = Page(
        title=title,
        lead=lead,
        columns=["overall mean", *board.columns.values()],
        tables=tables,
        remarks=_remarks(board, evaluation),
        missing={model: _lines(report) for model, report in reports.items() if _lines(report)},
        sources={row.name: row.source for row in board.rows if row.source},
    )
    return leaderboard(page, FOOTER)


def _line(board: Board, row: Row, rule_of_ties: str) -> Line:
    """A row's cells by one of the rules."""
    cells: list[Shown | None] = [None]
    if row.means:
        cells = [Shown(f"{row.means[rule_of_ties == 'ours']:.2f}", [])]
    for rule in board.columns:
        score = row.scores.get(rule)
        cells.append(None if score is None else _cell(row, rule, score, rule_of_ties))
    return Line(row.name, bool(row.source), cells)


def _cell(row: Row, rule: str, score: Score, rule_of_ties: str) -> Shown:
    notes = [score.subset] if score.subset else []
    if rule_of_ties == "official":
        notes += [f"{score.n_ties:,} tied"] if score.n_ties else []
        return Shown(f"{score.official:.2f}", notes)
    if score.low is not None and score.high is not None:
        notes.append(f"{score.low:.2f} to {score.high:.2f}")
    if row.tied.get(rule):
        notes.append(f"tied with {', '.join(sorted(row.tied[rule]))}")
    notes += [f"holds {name}" for name in row.within.get(rule, [])]
    return Shown(f"{score.ours:.2f}", notes)


def _remarks(board: Board, evaluation: Evaluation) -> list[str]:
    """What enters the overall mean, and for whom there is none."""
    remarks = [
        f"It is the mean of {', '.join(board.entering)}."
        + (" Reading enters once, as the mean of both." if evaluation.year >= 2026 else ""),
    ]
    if board.not_scored:
        remarks.append(
            f"The official mean also has Global PIQA ({', '.join(board.not_scored)}), which lmcore"
            " does not score; the official leaderboard counts what is missing as 0."
        )
    for row in board.rows:
        lacks = [label for rule, label in board.columns.items() if rule not in row.scores]
        if lacks and not row.source:
            remarks.append(f"{row.name} has no overall mean: it lacks {', '.join(lacks)}.")
    if all(AOA not in row.scores for row in board.rows):
        remarks.append("Age of acquisition needs checkpoints, and people's ages of acquisition.")
    return remarks


def _lines(report: Report) -> list[str]:
    missing = [f"missing: {line}" for line in report.missing]
    others = [f"missing, and not scored by lmcore: {line}" for line in report.not_scored]
    return [*report.subsets, *missing, *report.wrong, *others]
