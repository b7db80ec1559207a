"""Work on a Ray cluster. Source: Moritz et al. (2018), "Ray: A Distributed Framework for Emerging AI Applications"."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable
from typing import Any

from ...neural_blocks.errors import InvalidInput
from .workers import Died

STORE = 100 * 2**20  # bytes for objects of a cluster that is started here; cells are small


class RayPool:
    """Does tasks on a Ray cluster, each on one CPU; one whose worker or machine is lost is done again by another.

    Args:
        work: done to every task; a function that can be imported there.
        jobs: tasks at the same time, at most.
        address: of the cluster; None for one of `jobs` CPUs that is started here, and ended with the pool.
        gpus: that a task takes, also a part of one.
        tries: how often a task is given out, where the process that has it dies.

    Raises:
        InvalidInput: there is no cluster at the address.
    """

    def __init__(
        self, work: Callable[[Any], Any], jobs: int, address: str | None = None, gpus: float = 0.0, tries: int = 3
    ) -> None:
        self.jobs, self.tries = jobs, tries
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # tasks without a GPU may still see one
        import ray

        self._ray: Any = ray
        self._own = not ray.is_initialized()
        if self._own:
            here: dict[str, Any] = {"num_cpus": jobs, "object_store_memory": STORE, "include_dashboard": False}
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    ray.init(
                        address or "local",
                        log_to_driver=False,
                        logging_level=logging.ERROR,
                        **({} if address else here),
                    )
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise InvalidInput(
                    f"no Ray cluster at {address or 'this machine'}: {' '.join(str(error).split())[:200]}"
                ) from None
        self._do = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=tries - 1, retry_exceptions=False)(_call)
        self._work = ray.put(work)
        self._waiting: list[tuple[int, Any]] = []
        self._places: dict[Any, int] = {}
        self._count = 0

    def __enter__(self) -> RayPool:
        return self

    def __exit__(self, *_: object) -> None:
        for reference in self._places:
            self._ray.cancel(reference, force=True)
        self._places.clear()
        if self._own:
            self._ray.shutdown()

    def add(self, task: Any) -> int:
        """Takes a task; returns its number."""
        self._waiting.append((self._count, task))
        self._count += 1
        return self._count - 1

    @property
    def busy(self) -> bool:
        """Whether there is a task whose result is not there yet."""
        return bool(self._waiting or self._places)

    def next(self) -> tuple[int, Any]:
        """Waits for a result: the task's number, and what came of it."""
        while self._waiting and len(self._places) < self.jobs:
            place, task = self._waiting.pop(0)
            self._places[self._do.remote(self._work, task)] = place
        (ready,), _ = self._ray.wait(list(self._places), num_returns=1)
        place = self._places.pop(ready)
        try:
            return place, self._ray.get(ready)
        except self._ray.exceptions.WorkerCrashedError:
            return place, Died(f"its process died {_times(self.tries)}")
        except self._ray.exceptions.RayError as error:
            return place, Died(" ".join(f"{type(error).__name__}: {error}".split())[:400])


def _call(work: Callable[[Any], Any], task: Any) -> Any:
    return work(task)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
