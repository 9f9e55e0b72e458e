"""SVG: text stays text."""

from markupsafe import Markup

from lmcore.svg import element


def test_element_escapes_all_but_markup() -> None:
    inside = element("title", "a<b")
    assert inside == "<title>a&lt;b</title>"
    assert element("g", inside, class_='"x', stroke_width=1) == (
        '<g class="&quot;x" stroke-width="1"><title>a&lt;b</title></g>'
    )
    assert element("text", "\x1b[31m") == r"<text>\x1b[31m</text>"
    assert isinstance(element("path", d="M0 0"), Markup) and element("path") == "<path/>"
