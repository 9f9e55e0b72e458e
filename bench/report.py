"""The figures of a run become three files in docs.

These are benchmarks.json (flat: name -> figure), benchmarks.svg and benchmarks.md.
"""

import os
from pathlib import Path

from lmcore.figures.bars import bars
from lmcore.figures.files import FORMATS, themed
from lmcore.figures.specification import Field
from lmcore.files import whole, write_json

Figures = dict[str, float]  # by name, e.g. `smollm2.blimp.ours.tokens_per_s`

NAMES = {
    "notebook": "notebook's loop",
    "minicons": "minicons, log-prob",
    "minicons_rank": "minicons, log-prob and rank",
    "lm_eval": "lm-eval, best batch",
    "ours": "lmcore, all five statistics",
}
SUITES = {"blimp": "minimal pairs", "swag": "SWAG-shaped items", "text": "running text"}
# What is compared, the figure's name, and the least ratio by CPU time that we hold ourselves to
TARGETS = [
    ("SmolLM2-135M, BLiMP against a notebook's loop", "smollm2.blimp.notebook", 1),
    ("SmolLM2-135M, BLiMP against minicons with rank", "smollm2.blimp.minicons_rank", 1),
    ("SmolLM2-135M, BLiMP against minicons, log-prob only", "smollm2.blimp.minicons", 1),
    ("SmolLM2-135M, BLiMP against lm-eval", "smollm2.blimp.lm_eval", 1),
    ("SmolLM2-135M, SWAG-shaped against lm-eval", "smollm2.swag.lm_eval", 1),
    ("SmolLM2-135M, running text against lm-eval", "smollm2.text.lm_eval", 1),
    ("GPT-2 124M, BLiMP against lm-eval", "gpt2_124m.blimp.lm_eval", 1.5),
    ("GPT-2 124M, SWAG-shaped against lm-eval", "gpt2_124m.swag.lm_eval", 2),
    ("GPT-2 124M, running text against lm-eval", "gpt2_124m.text.lm_eval", 1),
    ("Pythia 160M, BLiMP against lm-eval", "pythia_160m.blimp.lm_eval", 1.5),
    ("Pythia 160M, SWAG-shaped against lm-eval", "pythia_160m.swag.lm_eval", 2),
    ("Pythia 160M, running text against lm-eval", "pythia_160m.text.lm_eval", 1),
    ("Qwen3-like, BLiMP against lm-eval", "qwen3_like.blimp.lm_eval", 1),
    ("Qwen3-like, SWAG-shaped against lm-eval", "qwen3_like.swag.lm_eval", 1),
    ("BLOOM-like, BLiMP against lm-eval", "bloom_like.blimp.lm_eval", 1),
    ("BLOOM-like, SWAG-shaped against lm-eval", "bloom_like.swag.lm_eval", 1),
    ("BLOOM-like, running text against lm-eval", "bloom_like.text.lm_eval", 1),
    ("BERT-base, BLiMP against minicons, log-prob only", "bert_base.blimp.minicons", 2),
]
# The figures of a method on a suite that are shown, their headings and their digits
COLUMNS = {
    "tokens_per_s": ("tokens/s", 0),
    "tokens_per_cpu_s": ("tokens/CPU-s", 0),
    "with_load_per_s": ("with loading", 0),
    "peak_mb": ("peak PSS, MB", 0),
    "batch": ("batch", 0),
    "ratio": ("ours is faster", 1),
    "cpu_ratio": ("by CPU time", 1),
}
# A backslash at the end of a line goes on with the same line of the page
METHOD = """## How it was measured

Every method runs in a process of its own that stays; on the same rows, in turn, each after a \
warm-up that also chooses its batch size. The
two slowest, the notebook's loop and minicons with ranks, read every tenth item (of running text \
the first tenth): rates are compared.
Loading is left out of `tokens/s` and added in `with loading`. Peers run as their users run them: \
one process, torch's own
threads, float32. Ours runs one process of one thread per core and writes Parquet; it computes \
log-prob, entropy, rank, top token and its
log-prob for every token, context included, where lm-eval gives sums. Ratios are medians over \
rounds of one round's pair. Memory is PSS,
sampled from outside, of a method's processes together."""


def write_report(figures: Figures, machine: dict[str, str], out: Path) -> None:
    """Write the three files to the folder `out`."""
    suites = sorted({name.rsplit(".", 1)[0] for name in figures if name.endswith(".unique_rows")})
    for suite in suites:
        figures[f"{suite}.best.ratio"] = _ratio_to_best(figures, suite)
    out.mkdir(parents=True, exist_ok=True)
    rounded = {name: float(f"{value:.4g}") for name, value in figures.items()}
    write_json(rounded, out / "benchmarks.json")
    if suites:
        _plot(figures, suites, out / "benchmarks.svg")
    sections = [
        _head(figures, machine),
        _targets(figures),
        *(_suite(figures, suite) for suite in suites),
        _one_core(figures, suites),
        _limits(figures),
        _accuracy(figures),
        _growth(figures),
        _analysis(figures),
        _diff(figures),
        METHOD,
    ]
    with whole(out / "benchmarks.md") as temporary:
        text = "\n\n".join(section for section in sections if section)
        temporary.write_text(text + "\n", "utf-8")


def _ratio_to_best(figures: Figures, suite: str) -> float:
    """How many times as fast as the fastest of the peers ours is; lm-eval scores no masked LMs."""
    names = [f"{suite}.{method}.ratio" for method in NAMES if method != "ours"]
    return min(figures[name] for name in names if name in figures)


def _table(header: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown, with all columns but the first aligned to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _head(figures: Figures, machine: dict[str, str]) -> str:
    """The title, the machine, and how busy it was."""
    before, after = figures["load_before"], figures["load_after"]
    load = (
        f"Load of the machine before and after the last part that ran: {before:.1f} and {after:.1f}"
    )
    if max(before, after) > figures["cores"] + 0.5:
        load += (
            f", on {os.cpu_count()} cores: **a busy machine; "
            "trust the ratios by CPU time more than those by the clock.**"
        )
    else:
        load += "."
    machine_table = _table(["", ""], [[name, value] for name, value in machine.items()])
    paragraphs = [
        "# Benchmarks",
        "Written by `make bench` (`python -m bench`); the figures stand in `benchmarks.json`.",
        machine_table.replace("---:", "---"),
        load,
        "![times as fast as the best of the peers](benchmarks.svg)" if len(figures) > 50 else "",
        f"Cores used: {figures['cores']:.0f} (threads of the peers, processes of ours).",
        "" if machine["kernel"] == "cuda" else "**On a GPU nothing has been measured.**",
    ]
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def _targets(figures: Figures) -> str:
    """How many times as fast ours is, beside what it should be."""
    rows = []
    for what, name, least in TARGETS:
        if f"{name}.ratio" in figures:
            clock, cpu = figures[f"{name}.ratio"], figures[f"{name}.cpu_ratio"]
            rows.append([what, f"{clock:.2f}x", f"{cpu:.2f}x", f"{least}x"])
    if not rows:
        return ""
    header = ["float32; peers with their best batch", "by the clock", "by CPU time", "at least"]
    return "## How many times as fast\n\n" + _table(header, rows)


def _suite(figures: Figures, suite: str) -> str:
    """All methods on one suite, which is called MODEL.KIND."""
    model, kind = suite.split(".")
    rows = []
    for method, title in NAMES.items():
        name = f"{suite}.{method}"
        if f"{name}.ratio" in figures:  # lm-eval scores no masked LMs
            cells = [f"{figures[f'{name}.{key}']:,.{COLUMNS[key][1]}f}" for key in COLUMNS]
            rows.append([title, *cells])
    summary = (
        f"{figures[f'{suite}.tokens']:,.0f} tokens, "
        f"{figures[f'{suite}.unique_rows']:,.0f} unique rows computed."
    )
    if f"{suite}.is_packed" in figures:
        summary += f" Forward: {'packed' if figures[f'{suite}.is_packed'] else 'padded'}."
    if f"{suite}.rounds" in figures:
        summary += f" Rounds: {figures[f'{suite}.rounds']:.0f}."
    header = ["", *(heading for heading, _ in COLUMNS.values())]
    return f"## {model}, {SUITES[kind]}\n\n{summary}\n\n" + _table(header, rows)


def _one_core(figures: Figures, suites: list[str]) -> str:
    """One process of ours beside the matrix products of one core."""
    rows = []
    for suite in suites:
        for kernel in ("onednn", "torch"):
            name = f"{suite}.one_core.{kernel}"
            if f"{name}.gflops" in figures:
                cells = [
                    f"{figures[f'{name}.gflops']:.0f}",
                    f"{figures[f'{name}.onednn_gemm_gflops']:.0f}",
                    f"{figures[f'{name}.share_of_onednn_gemm']:.0%}",
                    f"{figures[f'{name}.peak_mb']:.0f}",
                ]
                rows.append([suite, kernel, *cells])
    if not rows:
        return ""
    header = [
        "one core, whole engine",
        "kernel",
        "GFLOP/s",
        "oneDNN's float32 products",
        "share",
        "peak PSS, MB",
    ]
    text = (
        "Arithmetic of the linear layers and the head for each unique row, over all CPU time of "
        "the process: tokenising, attention,\nstatistics and Parquet included."
    )
    return f"## One core against its matrix products\n\n{text}\n\n" + _table(header, rows)


def _limits(figures: Figures) -> str:
    """The matrix products alone, through each kernel."""
    rows = []
    for name, rate in figures.items():
        if name.startswith("gemm."):
            rows.append([name.partition(".")[2], f"{rate:.0f}"])
    if not rows:
        return ""
    header = ["float32 products of SmolLM2's layers, one core", "GFLOP/s"]
    return "## What bounds it\n\n" + _table(header, rows)


def _accuracy(figures: Figures) -> str:
    """How far each forward is from float64."""
    rows = []
    for name in ("onednn", "torch", "cuda", "transformers"):
        if f"accuracy.{name}.p99" in figures:
            errors = [f"{figures[f'accuracy.{name}.{key}']:.1e}" for key in ("p99", "max")]
            n_ranks = figures.get(f"accuracy.{name}.other_ranks")
            rows.append([name, *errors, "" if n_ranks is None else f"{n_ranks:.0f}"])
    if not rows:
        return ""
    header = ["float32 through", "error of a log-prob, p99 (nats)", "largest", "other ranks"]
    text = (
        f"SmolLM2-135M, {figures['accuracy.tokens']:,.0f} tokens of the minimal pairs. "
        "Ranks are compared where no logit is within\n"
        "1e-4 of the token's own in float64. "
        "`transformers` is the model's own float32 forward, one sentence at a time."
    )
    return f"## Distance from float64\n\n{text}\n\n" + _table(header, rows)


def _growth(figures: Figures) -> str:
    """The cost by the number of tokens, and by the length of the texts."""
    digits = {"tokens": 0, "wall_s": 1, "tokens_per_s": 0, "peak_mb": 0}
    tables = []
    for kind, title in (("tokens", "tokens (texts of 32 words)"), ("length", "words a text")):
        start = f"growth.{kind}."
        names = [name for name in figures if name.startswith(start) and name.endswith(".wall_s")]
        rows = []
        for size in sorted(int(name.split(".")[2]) for name in names):
            cells = [f"{figures[f'{start}{size}.{key}']:,.{digits[key]}f}" for key in digits]
            rows.append([f"{size:,}", *cells])
        if rows:
            tables.append(_table([title, "tokens", "seconds", "tokens/s", "peak PSS, MB"], rows))
    return "## How the cost grows (58M shape)\n\n" + "\n\n".join(tables) if tables else ""


def _analysis(figures: Figures) -> str:
    """The cost of the analysis."""
    if "analysis.seconds" not in figures:
        return ""
    return (
        "## The analysis of the tables\n\n"
        f"`analyse_tokens` on {figures['analysis.rows']:,.0f} token rows of "
        f"{figures['analysis.models']:.0f} models: "
        f"{figures['analysis.seconds']:.0f} s by the clock, "
        f"{figures['analysis.cpu_s']:.0f} s of CPU, {figures['analysis.peak_gb']:.2f} GB at most."
    )


def _diff(figures: Figures) -> str:
    """The cost of `lmcore diff`."""
    if "diff.seconds" not in figures:
        return ""
    return (
        "## The comparison of two commits\n\n"
        f"`lmcore diff HEAD~1 HEAD` on {figures['diff.models']:.0f} models and "
        f"{figures['diff.suites']:.0f} suites of {figures['diff.items']:,.0f} items: "
        f"{figures['diff.seconds']:.1f} s by the clock, {figures['diff.cpu_s']:.1f} s of CPU."
    )


def _plot(figures: Figures, suites: list[str], path: Path) -> None:
    """Draw how many times as fast as the best of the peers ours is on each suite."""
    rows = []
    for suite in suites:
        ratio = round(figures[f"{suite}.best.ratio"], 4)
        rows.append({"suite": suite.replace(".", ", "), "by": "the clock", "ratio": ratio})
    ratio = Field("ratio", "times as fast as the best of the peers", ".2f")
    clock, suite_field = Field("by", "by"), Field("suite", "suite")
    figure = bars("benchmarks", ratio.title, rows, ratio, suite_field, clock, ["the clock"])
    with whole(path) as temporary:
        temporary.write_bytes(FORMATS["svg"](themed(figure.chart), 1))
