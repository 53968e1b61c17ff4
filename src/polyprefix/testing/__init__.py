"""The laws of methods and tasks as pytest classes, for authors of plugins; the package's own methods and tasks pass them too.

class TestMine(polyprefix.testing.MethodContract):
    method = MyMethod(length=5)
"""

from polyprefix.testing.methods import MethodContract
from polyprefix.testing.tasks import TaskContract

__all__ = ["MethodContract", "TaskContract"]
