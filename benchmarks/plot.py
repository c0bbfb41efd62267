"""The figures that have a bar, drawn: how much of its bar each uses. SVG by hand, readable in a browser."""

from collections.abc import Sequence
from html import escape

from benchmarks.findings import Bar, Finding

_ROW, _LABEL, _WIDTH, _MARGIN = 22, 420, 460, 30
#: As far right as the drawing goes, in bars.
_MOST = 2.0
_SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
    ' font-family="sans-serif" font-size="12">'
)
_MET, _MISSED = "#3a7d44", "#b3402e"


def svg(findings: Sequence[Finding]) -> str:
    """One line for each figure: the bar is the vertical line, left of it is good. The thin line is where the
    middle half of the rounds was."""
    barred = [(finding, finding.bar) for finding in findings if finding.bar is not None]
    height = _MARGIN + _ROW * len(barred) + 12
    lines = [
        _SVG.format(width=_LABEL + _WIDTH + 90, height=height),
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{_at(1.0)}" y="18" text-anchor="middle">the bar</text>',
        f'<line x1="{_at(1.0)}" x2="{_at(1.0)}" y1="24" y2="{height - 8}" stroke="#444"/>',
    ]
    for number, (finding, bar) in enumerate(barred):
        lines += _drawn(finding, bar, _MARGIN + _ROW * number)
    return "\n".join([*lines, "</svg>", ""])


def _drawn(finding: Finding, bar: Bar, top: int) -> list[str]:
    figure = finding.figure
    used = sorted(_used(bar, value) for value in (figure.low, figure.value, figure.high))
    color = _MET if bar.holds(figure.value) else _MISSED
    value = _at(_used(bar, figure.value))
    middle = top + _ROW // 2
    end = max(value, _at(used[2])) + 6
    return [
        _text(_LABEL - 8, middle, f"{finding.name}: {finding.what}", anchor="end"),
        f'<rect x="{_LABEL}" y="{top + 4}" width="{value - _LABEL}" height="14" fill="{color}"/>',
        f'<path d="M {_at(used[0])} {middle} H {_at(used[2])}" stroke="black"/>',
        _text(end, middle, f"{figure.value:.2f} {finding.unit}"),
    ]


def _text(x: int, middle: int, words: str, *, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{middle + 4}" text-anchor="{anchor}">{escape(words)}</text>'


def _used(bar: Bar, value: float) -> float:
    """How much of its bar a value uses, whichever side is the good one."""
    if bar.at_least:
        return bar.limit / value if value > 0 else _MOST
    if bar.limit == 0:
        return _MOST if value > 0 else 0.0
    return max(0.0, value / bar.limit)


def _at(share: float) -> int:
    return _LABEL + round(min(share, _MOST) / _MOST * _WIDTH)
