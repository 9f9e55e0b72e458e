"""The frame of every page: its colours can be read, and its policy lets nothing in or out."""

import base64
import hashlib
import re

import pytest
from markupsafe import Markup

from lmcore.report.layout import N_COLOURS, SCRIPT, breakable, whole_page

STYLE = SCRIPT.with_suffix(".css").read_text("utf-8")
COLOURS = re.findall(r"--(\w+): light-dark\((#\w{6}), (#\w{6})\);", STYLE)
SCHEMES = {
    scheme: {name: (light, dark)[scheme == "dark"] for name, light, dark in COLOURS}
    for scheme in ("light", "dark")
}
BACKGROUNDS = ("page", "card", "raised")
SERIES = [f"h{number}" for number in range(N_COLOURS)]
HEAT = 0.4  # the most of a series' colour behind a token


def channels(colour: str) -> list[float]:
    """Red, green and blue from 0 to 1."""
    return [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]


def luminance(rgb: list[float]) -> float:
    """Relative luminance. Source: WCAG 2.2, https://www.w3.org/TR/WCAG22/#dfn-relative-luminance"""
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: list[float], other: list[float]) -> float:
    """The contrast ratio of two colours, from 1 to 21. Source: the same."""
    darker, lighter = sorted([luminance(one), luminance(other)])
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast_is_that_of_the_standard() -> None:
    """Black on white has 21, and #767676 on white is the lightest grey with 4.5."""
    white = channels("#ffffff")
    assert contrast(channels("#000000"), white) == pytest.approx(21)
    assert contrast(channels("#767676"), white) == pytest.approx(4.54, abs=0.005)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_text_can_be_read_on_every_background(scheme: str) -> None:
    colours = SCHEMES[scheme]
    for text in ("text", "muted", "link"):
        for background in BACKGROUNDS:
            ratio = contrast(channels(colours[text]), channels(colours[background]))
            assert ratio >= 4.5, (text, background, ratio)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_marks_and_borders_of_controls_stand_out(scheme: str) -> None:
    colours = SCHEMES[scheme]
    for mark in (*SERIES, "focus", "strong"):
        for background in ("page", "card"):
            ratio = contrast(channels(colours[mark]), channels(colours[background]))
            assert ratio >= 3, (mark, background, ratio)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_text_can_be_read_on_the_most_surprising_token(scheme: str) -> None:
    assert f"calc(var(--s) * {100 * HEAT:g}%), var(--card)" in STYLE
    colours = SCHEMES[scheme]
    card = channels(colours["card"])
    for name in SERIES:
        hue = channels(colours[name])
        mixed = [HEAT * ink + (1 - HEAT) * paper for ink, paper in zip(hue, card)]
        ratio = contrast(channels(colours["text"]), mixed)
        assert ratio >= 4.5, (name, ratio)


def test_style_has_no_colour_of_its_own_and_one_declaration_a_line() -> None:
    """Where a colour stood elsewhere, it would be the same in both schemes."""
    assert len(COLOURS) == len(re.findall(r"#[0-9a-f]{3,8}\b", STYLE)) / 2
    for line in STYLE.splitlines():
        assert line.count(";") <= 1, line


def test_policy_names_every_script_and_nothing_else() -> None:
    page = whole_page("t", "l", {}, scripts=["let a = 1 < 2;"])
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert scripts == [SCRIPT.read_text("utf-8"), "let a = 1 < 2;"]
    policy = re.search(r'Content-Security-Policy" content="(.*?)"', page)[1].replace("&#39;", "'")
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    expected = []
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        expected.append(f"'sha256-{digest}'")
    assert rules.pop("script-src").split() == expected
    assert rules == {
        "default-src": "'none'",
        "style-src": "'unsafe-inline'",
        "img-src": "data:",
        "connect-src": "'none'",
        "form-action": "'none'",
        "base-uri": "'none'",
    }


def test_policy_names_a_script_of_the_package_in_a_section_and_no_other() -> None:
    own = f"\n{SCRIPT.read_text('utf-8')}"
    body = Markup(f"<script>{own}</script><script>let stolen;</script>")
    page = whole_page("t", "l", {"a": ("A", body)})
    for text, is_named in ((own, True), ("let stolen;", False)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert (f"sha256-{digest}" in page) == is_named


def test_page_that_is_served_may_ask_its_own_server_alone() -> None:
    page = whole_page("t", "l", {}, is_served=True)
    assert "connect-src &#39;self&#39;; form-action &#39;self&#39;" in page


def test_script_that_would_end_its_element_raises() -> None:
    with pytest.raises(ValueError, match="cannot stand in a page"):
        whole_page("t", "l", {}, scripts=['"</SCRIPT>"'])


def test_breakable_name_is_escaped_and_breaks_after_underscores() -> None:
    assert breakable("a_<b>_\x1b") == "a_<wbr>&lt;b&gt;_<wbr>\\x1b"
