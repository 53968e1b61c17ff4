"""Law: a chart that a second process draws is the one that is drawn here, whatever becomes of that process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from polyprefix.report import drawing, vega
from polyprefix.report.drawing import Drawer, Drawing
from polyprefix.report.vega import Chart


def charts(count: int = 6) -> list[Chart]:
    found = []
    for n in range(count):
        values = [{"language": f"l{k}", "score": (k * (n + 3)) % 7} for k in range(2 + n)]
        spec = {
            "data": {"values": values}, "mark": "bar", "width": 100 + n,
            "encoding": {"x": {"field": "language", "type": "nominal"}, "y": {"field": "score", "type": "quantitative"}},
        }  # fmt: skip
        found.append(Chart(f"c{n}", f"chart {n}", "bars", spec, ("a",), (), len(values)))
    return found


def test_the_same_chart() -> None:
    wanted = [vega.svg(chart) for chart in charts()]
    drawer = Drawer()
    drawings = [drawer.draw(chart) for chart in charts()]
    assert [one.svg() for one in drawings] == wanted
    assert all(one._drawn is not None and one._drawn.result() for one in drawings), "drawn there, and not here"
    drawer.close()


def test_a_process_that_ends_is_replaced_by_this_one() -> None:
    wanted = [vega.svg(chart) for chart in charts()]
    drawer = Drawer()
    first = drawer.draw(charts()[0])
    assert first.svg() == wanted[0]
    drawer._process.kill()
    rest = [drawer.draw(chart) for chart in charts()[1:]]
    assert [one.svg() for one in rest] == wanted[1:]
    drawer.close()


def test_what_is_asked_after_the_end_is_drawn_here() -> None:
    drawer = Drawer()
    waiting = drawer.draw(charts()[0])
    drawer.close()
    late = drawer.draw(charts()[1])
    assert [waiting.svg(), late.svg()] == [vega.svg(chart) for chart in charts(2)]


def test_a_chart_that_cannot_be_drawn_there_is_drawn_here_with_its_error() -> None:
    drawer = Drawer()
    [good] = charts(1)
    bad = Chart("bad", "bad", "bad", {"mark": "no such mark"}, (), (), 0)
    broken, after = drawer.draw(bad), drawer.draw(good)
    with pytest.raises(ValueError, match="conversion failed"):
        broken.svg()
    assert after.svg() == vega.svg(good)
    drawer.close()


def test_nothing_is_imported_from_the_folder_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    drawer = Drawer()
    one = drawer.draw(charts(1)[0])
    assert one._drawn is not None and one._drawn.result() == vega.svg(charts(1)[0])
    drawer.close()


@pytest.mark.parametrize(
    ("views", "processors", "program"), [(1, 2, sys.executable), (5, 1, sys.executable), (5, 2, "/none")]
)
def test_no_second_process_where_it_does_not_pay_or_cannot_be_started(
    views: int, processors: int, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "usable_processors", lambda: processors)
    monkeypatch.setattr(sys, "executable", program)
    with drawing.drawing(views) as draw:
        assert draw is Drawing


def test_a_second_process_for_many_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "usable_processors", lambda: 2)
    with drawing.drawing(5) as draw:
        one = draw(charts(1)[0])
        assert one._drawn is not None and one.svg() == vega.svg(charts(1)[0])
