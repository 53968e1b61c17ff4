"""What holds for every task in every language, so that a score of any can be trusted like a score of any other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from polyprefix import languages
from polyprefix.tasks.base import ENGLISH, Source, Task
from polyprefix.types import Example, Prediction


class TaskContract:
    """Derive a class whose name begins with `Test` and set `task`, and `source` where its data lies somewhere."""

    task: ClassVar[Task]
    source: ClassVar[Source] = Source()

    def test_languages_are_known_and_english_comes_first(self) -> None:
        """Codes such as `swh_Latn`, each once; English first where it is among them."""
        codes = self.task.languages()
        assert codes[0] == ENGLISH or ENGLISH not in codes
        assert len(set(codes)) == len(codes)
        assert all(languages.find(code).code == code for code in codes)

    def test_examples_are_whole(self) -> None:
        """Ids are unique; an answer is among the choices; a parallel task has the same ids in every language."""
        ids = []
        for code in self.task.languages():
            items = self._test(code)
            ids.append({item.id for item in items})
            assert items and len(ids[-1]) == len(items)
            assert all(item.language == code and item.references for item in items)
            assert all(not item.choices or item.references[0] in item.choices for item in items)
        assert not self.task.info.parallel or all(part <= ids[0] for part in ids[1:])

    def test_prompts_end_where_the_answer_begins(self) -> None:
        """No white space at the end, no answer in front of it; the target is one of the choices."""
        for code in self.task.languages():
            for prompt in map(self.task.prompt, self._test(code)[:50]):
                assert prompt.text == prompt.text.rstrip() and prompt.target.strip()
                assert not prompt.choices or prompt.target in prompt.choices

    def test_gold_answers_score_one_and_empty_ones_nothing(self) -> None:
        """The main metric is a mean over examples between 0 and 1."""
        main = self.task.info.metrics[0]
        for code in self.task.languages():
            items = self._test(code)
            assert self.task.score([_answered(item, item.references[0]) for item in items])[main].value == 1
            assert self.task.score([_answered(item, "") for item in items])[main].value == 0

    def test_training_never_sees_the_test_set(self) -> None:
        """No training or validation example asks what a test example of its language asks, in the first language of training."""
        language = self.task.train_languages()[0]
        asked = {tuple(item.inputs.values()) for item in self._test(language)}
        splits = [self.task.examples(split, language, self.source) for split in ("train", "validation")]
        assert all(splits) and not any(tuple(item.inputs.values()) in asked for items in splits for item in items)
        assert not {item.id for item in splits[0]} & {item.id for item in splits[1]}

    def _test(self, code: str) -> Sequence[Example]:
        return self.task.examples("test", code, self.source)


def _answered(example: Example, answer: str) -> Prediction:
    return Prediction(example.id, example.language, example.references, answer)
