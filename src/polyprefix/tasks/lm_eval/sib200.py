"""sib200 as lm-evaluation-harness has it: tasks `sib_eng_prompt_1`, ... version 1.0, a part of AfroBench.

Languages the 56 of AfroBench: those of Africa, English, French and Portuguese.
Prompt    the first of its five; the others are wordings of the same question. It ends with a colon, a space and an empty
          line, which the harness's backend counts to the answer.
Labels    the source's own, of one to several tokens; the longer ones are less likely for their length alone.
Metric    `acc`: the likeliest label by the sum over its tokens; `f1`, averaged over labels by how often each is right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from polyprefix.scoring.metrics import accuracy, weighted_f1
from polyprefix.tasks.sib200 import LABELS, TOPICS, Sib200
from polyprefix.types import Example, Prediction, Prompt, Score

_AFROBENCH = """
    eng_Latn aeb_Arab afr_Latn aka_Latn amh_Ethi ary_Arab arz_Arab bam_Latn bem_Latn cjk_Latn dik_Latn dyu_Latn
    ewe_Latn fon_Latn fra_Latn fuv_Latn gaz_Latn hau_Latn ibo_Latn kab_Latn kam_Latn kbp_Latn kea_Latn kik_Latn
    kin_Latn kmb_Latn knc_Latn kon_Latn lin_Latn lua_Latn lug_Latn luo_Latn mos_Latn nso_Latn nus_Latn nya_Latn
    plt_Latn por_Latn run_Latn sag_Latn sna_Latn som_Latn sot_Latn ssw_Latn swh_Latn taq_Latn tir_Ethi tso_Latn
    tum_Latn twi_Latn tzm_Tfng umb_Latn wol_Latn xho_Latn yor_Latn zul_Latn
"""
LANGUAGES = tuple(_AFROBENCH.split())
TEMPLATE = (
    "Given the categories science/technology, travel, politics, sports, health, entertainment, or geography; "
    "what category does the text: '{text}' belong to:"
)
BEFORE_LABEL = " \n\n "
"""The end of the harness's prompt, then the space that it puts before every choice."""


class LmEvalSib200(Sib200):
    """Topic classification by the likelihood of the topic's name."""

    info = replace(
        Sib200.info,
        metrics=("acc", "f1"),
        splits={**Sib200.info.splits, "test": f"test, 204 rows in each of {len(LANGUAGES)} languages"},
        deviations=(
            "Protocol lm-eval: the first prompt of AfroBench, in its languages, with the source's label names",
        ),
    )

    def languages(self) -> tuple[str, ...]:
        """Those of AfroBench, English first."""
        return LANGUAGES

    def prompt(self, example: Example) -> Prompt:
        """The question, with the source's names of the topics as continuations."""
        names = {label: f"{BEFORE_LABEL}{topic}" for topic, label in TOPICS.items()}
        return Prompt(
            example_id=example.id,
            language=example.language,
            text=TEMPLATE.format(**example.inputs),
            target=names[example.references[0]],
            choices=tuple(names[label] for label in example.choices),
            verbatim=True,
        )

    def score(self, predictions: Sequence[Prediction]) -> Mapping[str, Score]:
        """Accuracy and weighted F1."""
        gold, predicted = [p.references[0] for p in predictions], [p.prediction for p in predictions]
        return {
            "acc": accuracy([self.correctness(p) for p in predictions]),
            "f1": weighted_f1(gold, predicted, LABELS),
        }


TASK = LmEvalSib200()
