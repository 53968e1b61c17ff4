"""Which requests share a pass, which passes run side by side, and for whom a pass waits."""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from typing import Any

import pytest

from polyprefix.serving.job import ClosedError, Job, QueueFullError
from polyprefix.serving.line import COMPANY, Company, Line, Taken


def job(group: str = "chosen", tokens: int = 10, prompts: int = 1, *, concurrent: bool = True, most: int = 100) -> Job:
    """A request as the engine makes it; a line does not look into prompts."""
    items: Any = [None] * prompts
    return Job(0, items, tokens, time.monotonic() + 60, group=group, most=most, concurrent=concurrent)


def take(line: Line, worker: int = 0) -> Taken:
    got: list[Taken | None] = []
    waiting = threading.Thread(target=lambda: got.append(line.take(worker)), daemon=True)
    waiting.start()
    waiting.join(10)
    assert got and got[0] is not None, "nothing is given out"
    return got[0]


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_every_request_is_taken_once_in_order_and_never_beside_what_wants_to_be_alone(workers: int) -> None:
    """Of 2,000 requests of three groups from four clients, by as many threads as there are workers."""
    line, draw = Line(most=10_000, workers=workers), random.Random(workers)
    put = [job("chosen", draw.randint(1, 40), draw.randint(1, 3)) for _ in range(1200)]
    put += [job("written", draw.randint(1, 90), concurrent=False, most=200) for _ in range(400)]
    put += [job("other model", 5, concurrent=False) for _ in range(400)]
    draw.shuffle(put)
    found: list[Taken] = []
    faults: list[str] = []
    running: list[Taken] = []
    lock = threading.Lock()

    def answer(worker: int) -> None:
        while (taken := line.take(worker)) is not None:
            with lock:
                running.append(taken)
                found.append(taken)
                if len(running) > 1 and not all(one.concurrent for one in running):
                    faults.append("beside a pass that runs alone")
                if not taken.concurrent and worker:
                    faults.append("alone by a worker with a share of the threads")
            time.sleep(0.0005)
            with lock:
                running.remove(taken)
            line.done(worker, taken)

    def client(number: int) -> None:
        for one in put[number::4]:
            line.put(one)

    answering = [threading.Thread(target=answer, args=(worker,), daemon=True) for worker in range(workers)]
    clients = [threading.Thread(target=client, args=(number,)) for number in range(4)]
    for thread in answering + clients:
        thread.start()
    for thread in clients:
        thread.join(20)
    line.close()
    for thread in answering:
        thread.join(20)
    assert not faults and not line.busy and line.waiting == 0 and line.passes == len(found)
    taken = [one for passed in found for one in passed.jobs]
    assert sorted(map(id, taken)) == sorted(map(id, put)), "each once"
    order: dict[Any, list[int]] = defaultdict(list)
    clients_of = {id(one): number % 4 for number, one in enumerate(put)}
    places = {id(one): number for number, one in enumerate(put)}
    for one in taken:
        order[one.group, clients_of[id(one)]].append(places[id(one)])
    assert all(numbers == sorted(numbers) for numbers in order.values()), "a client's requests in their order"
    for passed in found:
        assert len({one.group for one in passed.jobs}) == 1
        assert len(passed.jobs) == 1 or sum(one.tokens for one in passed.jobs) <= (passed.jobs[0].most or 0)
    assert any(passed.concurrent for passed in found) == (workers > 1)
    with pytest.raises(ClosedError):
        line.put(job())


def test_workers_share_what_waits_and_one_request_has_all_threads() -> None:
    line = Line(most=100, workers=2)
    line.put(job())
    alone = take(line)
    assert not alone.concurrent and len(alone.jobs) == 1
    for _ in range(7):
        line.put(job())
    line.done(0, alone)
    line.company = [Company(), Company()]
    first, second = take(line, 0), take(line, 1)
    assert (len(first.jobs), len(second.jobs)) == (4, 3) and first.concurrent and second.concurrent
    line.put(job())
    line.done(1, second)
    line.company[1] = Company()
    third = take(line, 1)
    assert third.concurrent and len(third.jobs) == 1, "beside the pass of the other worker"
    line = Line(most=100, workers=2)
    line.put(job())
    for _ in range(9):
        line.put(job("written", concurrent=False))
    first = take(line, 0)
    assert not first.concurrent and len(first.jobs) == 1, "nothing that waits may run beside it"


def test_a_pass_waits_for_clients_that_were_just_answered_and_for_nobody_else() -> None:
    line = Line(most=100)
    line.put(job(prompts=4))
    passed = take(line)
    time.sleep(0.05)
    line.done(0, passed)
    [left] = line.company
    assert left.clients == 1, "one client was answered, with several inputs, and none waits"
    whole = time.monotonic() - passed.begun
    assert left.until - passed.begun <= (1 + COMPANY) * whole, "a tenth of the pass at most"
    line.company = [Company(3, time.monotonic() + 60)]
    got: list[Taken] = []
    worker = threading.Thread(target=lambda: got.append(take(line)), daemon=True)
    line.put(job())
    line.put(job())
    worker.start()
    time.sleep(0.1)
    assert not got and line.waiting == 2
    line.put(job())
    worker.join(30)
    assert len(got[0].jobs) == 3
    line.done(0, got[0])
    line.company = [Company(2, time.monotonic() + 0.1)]
    line.put(job())
    assert len(take(line).jobs) == 1, "nobody came: it is answered alone"
    line = Line(most=100)
    line.company = [Company(99, time.monotonic() + 60)]
    line.put(job(tokens=50))
    line.put(job(tokens=50))
    assert len(take(line).jobs) == 2, "what fills a pass waits for nobody"
    line = Line(most=100)
    line.company = [Company(9, time.monotonic() + 60)]
    line.put(job())
    line.close()
    assert len(take(line).jobs) == 1 and line.take(0) is None, "what ends waits for nobody"


def test_a_worker_waits_for_its_share_of_the_clients_while_the_other_is_busy() -> None:
    line = Line(most=100, workers=2)
    for _ in range(8):
        line.put(job())
    first, second = take(line, 0), take(line, 1)
    assert (len(first.jobs), len(second.jobs)) == (4, 4)
    time.sleep(0.02)
    line.done(1, second)
    assert line.company[1].clients == 8
    line.company[1] = Company(8, time.monotonic() + 60)
    got: list[Taken] = []
    worker = threading.Thread(target=lambda: got.append(take(line, 1)), daemon=True)
    worker.start()
    for n in range(4):
        assert not got, n
        line.put(job())
        time.sleep(0.02)
    worker.join(30)
    assert len(got[0].jobs) == 4


def test_a_full_line_says_when_to_come_back_by_how_fast_it_moves() -> None:
    line = Line(most=4)
    line.put(job(prompts=4))
    with pytest.raises(QueueFullError) as full:
        line.put(job())
    assert full.value.retry_after >= 1
    passed = take(line)
    line.put(job(prompts=9))  # more than ever fits is taken when nothing waits
    line.done(0, passed)
