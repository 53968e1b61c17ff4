"""Whether the Hugging Face Hub can be reached, found out in seconds.

The Hub's client repeats a failed request for half a minute, for each file; asking once first keeps an offline machine
quick.
"""

from __future__ import annotations

import os
import threading
import time
import urllib.error
import urllib.request
from functools import lru_cache

SECONDS = 3.0


def hub_answers() -> bool:
    """Whether the Hub (or `HF_ENDPOINT`) answers within three seconds; remembered for about a minute.

    False without a try where `HF_HUB_OFFLINE` is set.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in {"1", "on", "yes", "true"}:
        return False
    return _ask(os.environ.get("HF_ENDPOINT", "https://huggingface.co"), int(time.monotonic() // 60))


@lru_cache(maxsize=1)
def _ask(endpoint: str, _minute: int) -> bool:
    answers: list[bool] = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(urllib.request.Request(endpoint, method="HEAD"), timeout=SECONDS):
                answers.append(True)
        except urllib.error.HTTPError:
            answers.append(True)  # a refusal is an answer
        except OSError:
            answers.append(False)

    # in a thread, because a resolver that hangs knows no time limit
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(SECONDS)
    return bool(answers and answers[0])
