"""The plugin keeps the laws of methods and tasks."""

from polyprefix_example.evenness import TASK
from polyprefix_example.scaled_text import ScaledText

from polyprefix.testing import MethodContract, TaskContract


class TestScaledText(MethodContract):
    """The method."""

    method = ScaledText(length=4)


class TestEvenness(TaskContract):
    """The task."""

    task = TASK
