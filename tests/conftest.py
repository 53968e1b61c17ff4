"""One thread for torch: the models of most tests are tiny, and threads cost them more than they bring."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _one_thread(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests of the real model keep all threads."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(threads if request.node.get_closest_marker("real") else 1)
    yield
    torch.set_num_threads(threads)
