"""A page of bar charts as SVG, one panel per figure, without anything but the standard library."""

from xml.sax.saxutils import escape

WIDTH, COLUMNS, PADDING = 960, 2, 24
TITLE, BAR, GAP = 44, 18, 8
LABEL, VALUE = 110, 64
INK, MUTED, OWN, OTHER, LINES = "#1f2933", "#616e7c", "#0b6e99", "#b8c4ce", ("#c0392b", "#d98e04")
FONT = 'font-family="Helvetica, Arial, sans-serif"'


def _text(x, y, text, size=12, colour=INK, anchor="start", weight="normal"):
    """With a rim of the background, so that a line behind it does not cross it out."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" {FONT} font-size="{size}" fill="{colour}" '
        f'text-anchor="{anchor}" font-weight="{weight}" stroke="#ffffff" stroke-width="3" '
        f'paint-order="stroke">{escape(text)}</text>'
    )


def _number(value):
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 20 else f"{value:.2f}"


def _panel(panel, x, y, width):
    """A panel: {"title", "unit", "bars": [(name, value)], "lines": [(name, value)]}."""
    parts = [_text(x, y + 14, panel["title"], 14, weight="bold")]
    parts.append(_text(x, y + 30, panel["unit"], 11, MUTED))
    bars = sorted(panel["bars"], key=lambda bar: bar[1])
    most = max([value for _, value in bars + panel["lines"]] + [1e-9])
    room = width - LABEL - VALUE
    top = y + TITLE
    values = []
    for index, (name, value) in enumerate(bars):
        at = top + index * (BAR + GAP)
        length = max(room * value / most, 1)
        colour = OWN if name.startswith("kujata") else OTHER
        parts.append(_text(x + LABEL - 8, at + BAR - 5, name, anchor="end"))
        parts.append(
            f'<rect x="{x + LABEL}" y="{at}" width="{length:.1f}" height="{BAR}" fill="{colour}"/>'
        )
        values.append(_text(x + LABEL + length + 6, at + BAR - 5, _number(value)))
    bottom = top + len(bars) * (BAR + GAP)
    for index, (name, value) in enumerate(panel["lines"]):
        at = x + LABEL + room * value / most
        colour = LINES[index % len(LINES)]
        parts.append(
            f'<line x1="{at:.1f}" y1="{top - 4}" x2="{at:.1f}" y2="{bottom}" stroke="{colour}" '
            f'stroke-width="1.5" stroke-dasharray="{"none" if index == 0 else "4 3"}"/>'
        )
        parts.append(_text(x + LABEL, bottom + 12 + index * 14, f"{name}: {_number(value)}", 11,
                           colour))  # fmt: skip
    return parts + values, TITLE + len(bars) * (BAR + GAP) + len(panel["lines"]) * 14 + PADDING


def draw(title, subtitle, panels):
    """The whole page."""
    width = (WIDTH - PADDING * (COLUMNS + 1)) / COLUMNS
    parts = [_text(PADDING, 34, title, 18, weight="bold"), _text(PADDING, 54, subtitle, 12, MUTED)]
    y = 78
    for row in range(0, len(panels), COLUMNS):
        heights = []
        for column, panel in enumerate(panels[row : row + COLUMNS]):
            drawn, height = _panel(panel, PADDING + column * (width + PADDING), y, width)
            parts += drawn
            heights.append(height)
        y += max(heights)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" '
        f'viewBox="0 0 {WIDTH} {y}">'
    )
    back = f'<rect width="{WIDTH}" height="{y}" fill="#ffffff"/>'
    return "\n".join([head, back, *parts, "</svg>", ""])
