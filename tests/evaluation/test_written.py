"""Law: what is stable of an answer while it is written is the beginning of the answer, and never holds a part of a stop string."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from polyprefix.evaluation.written import cut, stable

TEXT = st.text("ab\n �é", max_size=14)
STOPS = st.lists(st.text("ab\n é", min_size=1, max_size=4), max_size=3)


@settings(max_examples=400, deadline=None)
@given(text=TEXT, stops=STOPS, verbatim=st.booleans())
@example(text="ab c", stops=["ab c", "b"], verbatim=True)
@example(text="\n a\n", stops=["\n"], verbatim=False)
def test_stable_text_stays(text: str, stops: list[str], verbatim: bool) -> None:
    whole, before = cut(text, stops, verbatim), ""
    for end in range(len(text) + 1):
        found = stable(text[:end], stops, verbatim)
        assert whole.startswith(found) and found.startswith(before)
        before = found


def test_nothing_is_held_back_that_need_not_be() -> None:
    assert stable("Paris is", ["\n"]) == "Paris is"
    assert stable("Paris \n", ["\n\n"], verbatim=True) == "Paris "
