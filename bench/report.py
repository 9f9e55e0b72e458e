"""The figures of a run become docs/benchmarks.json (flat: name -> figure), docs/benchmarks.svg and docs/benchmarks.md."""

import os
from pathlib import Path

from lmcore.explorations.svg import bars
from lmcore.files import whole, write_json

NAMES = {
    "notebook": "notebook's loop",
    "minicons": "minicons, log-prob",
    "minicons_rank": "minicons, log-prob and rank",
    "lm_eval": "lm-eval, best batch",
    "ours": "lmcore, all five statistics",
}
SUITES = {"blimp": "minimal pairs", "swag": "SWAG-shaped items", "text": "running text"}
TARGETS = [  # what, figure, at least, aim
    ("BLiMP against a notebook's loop", "smollm2.blimp.notebook.ratio", 20, 26),
    ("BLiMP against minicons with rank", "smollm2.blimp.minicons_rank.ratio", 12, 16),
    ("BLiMP against minicons, log-prob only", "smollm2.blimp.minicons.ratio", 7, 9),
    ("BLiMP against lm-eval, best batch", "smollm2.blimp.lm_eval.ratio", 4.5, 6),
    ("SWAG-shaped against lm-eval, best batch", "smollm2.swag.lm_eval.ratio", 3.5, 5),
    ("running text against the best of all", "smollm2.text.best.ratio", 2, 3),
    ("GPT-2 124M, BLiMP against lm-eval, best batch", "gpt2_124m.blimp.lm_eval.ratio", 1.5, 2),
    ("GPT-2 124M, SWAG-shaped against lm-eval, best batch", "gpt2_124m.swag.lm_eval.ratio", 2, 3),
    ("Pythia 160M, BLiMP against lm-eval, best batch", "pythia_160m.blimp.lm_eval.ratio", 1.5, 2),
    (
        "Pythia 160M, SWAG-shaped against lm-eval, best batch",
        "pythia_160m.swag.lm_eval.ratio",
        2,
        3,
    ),
    ("BERT-base, BLiMP against minicons, log-prob only", "bert_base.blimp.minicons.ratio", 2, 2),
]


def write_report(figures: dict[str, float], machine: dict[str, str], out: Path) -> None:
    """Write the three files to the folder `out`."""
    suites = sorted({name.rsplit(".", 1)[0] for name in figures if name.endswith(".unique_rows")})
    for suite in suites:
        ratios = [figures.get(f"{suite}.{method}.ratio") for method in NAMES if method != "ours"]
        figures[f"{suite}.best.ratio"] = min(
            ratio for ratio in ratios if ratio is not None
        )  # lm-eval scores no masked LMs
    out.mkdir(parents=True, exist_ok=True)
    write_json(
        {name: float(f"{value:.4g}") for name, value in figures.items()}, out / "benchmarks.json"
    )
    if suites:
        _plot(figures, suites, out / "benchmarks.svg")
    parts = [
        _head(figures, machine),
        _targets(figures),
        *(_suite(figures, suite) for suite in suites),
    ]
    parts += [
        _one_core(figures, suites),
        _limits(figures),
        _accuracy(figures),
        _growth(figures),
        _analysis(figures),
        _diff(figures),
        _method(),
    ]
    with whole(out / "benchmarks.md") as temporary:
        temporary.write_text("\n\n".join(part for part in parts if part) + "\n", "utf-8")


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _head(figures: dict[str, float], machine: dict[str, str]) -> str:
    before, after = figures["load_before"], figures["load_after"]
    warning = f", on {os.cpu_count()} cores: **a busy machine; trust the ratios by CPU time more than those by the clock.**"
    lines = [
        "# Benchmarks",
        "Written by `make bench` (`python -m bench`); the figures stand in `benchmarks.json`.",
        _table(["", ""], [[name, value] for name, value in machine.items()]).replace("---:", "---"),
        f"Load of the machine before and after the last part that ran: {before:.1f} and {after:.1f}"
        + (warning if max(before, after) > figures["cores"] + 0.5 else "."),
        "![times as fast as the best of the peers](benchmarks.svg)" if len(figures) > 50 else "",
        f"Cores used: {figures['cores']:.0f} (threads of the peers, processes of ours).",
        "" if machine["kernel"] == "cuda" else "**On a GPU nothing has been measured.**",
    ]
    return "\n\n".join(line for line in lines if line)


def _targets(figures: dict[str, float]) -> str:
    rows = []
    for what, name, least, aim in TARGETS:
        if name in figures:
            cpu = figures.get(name.replace(".ratio", ".cpu_ratio"))
            rows.append(
                [
                    what,
                    f"{figures[name]:.1f}x",
                    f"{cpu:.1f}x" if cpu else "",
                    f"{least}x",
                    f"{aim}x",
                ]
            )
    header = [
        "SmolLM2-135M where no other is named, float32",
        "by the clock",
        "by CPU time",
        "at least",
        "aim",
    ]
    return "## How many times as fast\n\n" + _table(header, rows) if rows else ""


def _suite(figures: dict[str, float], suite: str) -> str:
    model, kind = suite.split(".")
    keys = {
        "tokens_per_s": 0,
        "tokens_per_cpu_s": 0,
        "with_load_per_s": 0,
        "peak_mb": 0,
        "batch": 0,
        "ratio": 1,
        "cpu_ratio": 1,
    }
    rows = [
        [
            title,
            *(f"{figures[f'{suite}.{method}.{key}']:,.{digits}f}" for key, digits in keys.items()),
        ]
        for method, title in NAMES.items()
        if f"{suite}.{method}.ratio" in figures  # lm-eval scores no masked LMs
    ]
    header = [
        "",
        "tokens/s",
        "tokens/CPU-s",
        "with loading",
        "peak PSS, MB",
        "batch",
        "ours is faster",
        "by CPU time",
    ]
    saved = f"{figures[f'{suite}.tokens']:,.0f} tokens, {figures[f'{suite}.unique_rows']:,.0f} unique rows computed."
    if f"{suite}.is_packed" in figures:
        saved += f" Forward: {'packed' if figures[f'{suite}.is_packed'] else 'padded'}."
    saved += f" Rounds: {figures[f'{suite}.rounds']:.0f}." if f"{suite}.rounds" in figures else ""
    return f"## {model}, {SUITES[kind]}\n\n{saved}\n\n" + _table(header, rows)


def _one_core(figures: dict[str, float], suites: list[str]) -> str:
    rows = []
    for suite in suites:
        for kernel in ("onednn", "torch"):
            name = f"{suite}.one_core.{kernel}"
            if f"{name}.gflops" in figures:
                rates = [
                    f"{figures[f'{name}.{key}']:.0f}" for key in ("gflops", "onednn_gemm_gflops")
                ]
                rows.append(
                    [
                        suite,
                        kernel,
                        *rates,
                        f"{figures[f'{name}.share_of_onednn_gemm']:.0%}",
                        f"{figures[f'{name}.peak_mb']:.0f}",
                    ]
                )
    header = [
        "one core, whole engine",
        "kernel",
        "GFLOP/s",
        "oneDNN's float32 products",
        "share",
        "peak PSS, MB",
    ]
    text = (
        "Arithmetic of the linear layers and the head for each unique row, over all CPU time of the process: tokenising, attention,\n"
        "statistics and Parquet included."
    )
    return (
        f"## One core against its matrix products\n\n{text}\n\n" + _table(header, rows)
        if rows
        else ""
    )


def _limits(figures: dict[str, float]) -> str:
    rates = {
        name.partition(".")[2]: value for name, value in figures.items() if name.startswith("gemm.")
    }
    if not rates:
        return ""
    text = [
        "## What bounds it",
        _table(
            ["float32 products of SmolLM2's layers, one core", "GFLOP/s"],
            [[kernel, f"{rate:.0f}"] for kernel, rate in rates.items()],
        ),
    ]
    return "\n\n".join(text)


def _accuracy(figures: dict[str, float]) -> str:
    names = [
        name
        for name in ("onednn", "torch", "cuda", "transformers")
        if f"accuracy.{name}.p99" in figures
    ]
    if not names:
        return ""
    header = ["float32 through", "error of a log-prob, p99 (nats)", "largest", "other ranks"]
    rows = []
    for name in names:
        ranks = figures.get(f"accuracy.{name}.other_ranks")
        rows.append(
            [
                name,
                *(f"{figures[f'accuracy.{name}.{key}']:.1e}" for key in ("p99", "max")),
                "" if ranks is None else f"{ranks:.0f}",
            ]
        )
    text = (
        f"SmolLM2-135M, {figures['accuracy.tokens']:,.0f} tokens of the minimal pairs. Ranks are compared where no logit is within\n"
        "1e-4 of the token's own in float64. `transformers` is the model's own float32 forward, one sentence at a time."
    )
    return f"## Distance from float64\n\n{text}\n\n" + _table(header, rows)


def _growth(figures: dict[str, float]) -> str:
    parts = []
    for kind, title in (("tokens", "tokens (texts of 32 words)"), ("length", "words a text")):
        names = [
            name
            for name in figures
            if name.startswith(f"growth.{kind}.") and name.endswith(".wall_s")
        ]
        sizes = sorted(int(name.split(".")[2]) for name in names)
        keys = {"tokens": 0, "wall_s": 1, "tokens_per_s": 0, "peak_mb": 0}
        rows = [
            [
                f"{size:,}",
                *(
                    f"{figures[f'growth.{kind}.{size}.{key}']:,.{digits}f}"
                    for key, digits in keys.items()
                ),
            ]
            for size in sizes
        ]
        if rows:
            parts.append(_table([title, "tokens", "seconds", "tokens/s", "peak PSS, MB"], rows))
    return "## How the cost grows (58M shape)\n\n" + "\n\n".join(parts) if parts else ""


def _analysis(figures: dict[str, float]) -> str:
    if "analysis.seconds" not in figures:
        return ""
    return (
        f"## The analysis of the tables\n\n`analyse_tokens` on {figures['analysis.rows']:,.0f} token rows of "
        f"{figures['analysis.models']:.0f} models: {figures['analysis.seconds']:.0f} s by the clock, "
        f"{figures['analysis.cpu_s']:.0f} s of CPU, {figures['analysis.peak_gb']:.2f} GB at most."
    )


def _diff(figures: dict[str, float]) -> str:
    if "diff.seconds" not in figures:
        return ""
    return (
        f"## The comparison of two commits\n\n`lmcore diff HEAD~1 HEAD` on {figures['diff.models']:.0f} models and "
        f"{figures['diff.suites']:.0f} suites of {figures['diff.items']:,.0f} items: {figures['diff.seconds']:.1f} s by the clock, "
        f"{figures['diff.cpu_s']:.1f} s of CPU."
    )


def _method() -> str:
    return """## How it was measured

Every method runs in a process of its own that stays; on the same rows, in turn, each after a warm-up that also chooses its batch size. The
two slowest, the notebook's loop and minicons with ranks, read every tenth item (of running text the first tenth): rates are compared.
Loading is left out of `tokens/s` and added in `with loading`. Peers run as their users run them: one process, torch's own
threads, float32. Ours runs one process of one thread per core and writes Parquet; it computes log-prob, entropy, rank, top token and its
log-prob for every token, context included, where lm-eval gives sums. Ratios are medians over rounds of one round's pair. Memory is PSS,
sampled from outside, of a method's processes together."""


def _plot(figures: dict[str, float], suites: list[str], path: Path) -> None:
    rows = [
        (suite.replace(".", ", "), figures[f"{suite}.best.ratio"], 0.0, "plain") for suite in suites
    ]
    path.write_text(bars(rows, "times as fast as the best of the peers, by the clock"), "utf-8")
