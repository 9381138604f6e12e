"""Threads that never change a number: BLAS on one thread, independent pieces of work side by side.

Sums that threads split differently differ in their last bits, so no sum is split. Pieces that do
not depend on one another (sources, latents) run in as many threads as the process allows BLAS,
which users pin with OMP_NUM_THREADS or OPENBLAS_NUM_THREADS.
"""

import concurrent.futures
import contextlib
import functools
from collections.abc import Callable, Iterable
from typing import TypeVar

import threadpoolctl

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """`function` of each item, in order; arrays hold no lock while numpy and scipy compute."""
    items = list(items)
    num_threads = min(len(items), _num_allowed())
    with one_thread():
        if num_threads < 2:
            return [function(item) for item in items]
        with concurrent.futures.ThreadPoolExecutor(num_threads) as pool:
            return list(pool.map(function, items))


def one_thread() -> contextlib.AbstractContextManager:
    """A context in which BLAS runs on one thread; at the sizes of metrics that is no slower."""
    return _controller().limit(limits=1, user_api="blas")


def _num_allowed() -> int:
    """The number of threads that BLAS may use here and now."""
    return max((library["num_threads"] for library in _controller().info()), default=1)


@functools.cache
def _controller() -> threadpoolctl.ThreadpoolController:
    """The linear algebra libraries of this process; finding them takes milliseconds."""
    return threadpoolctl.ThreadpoolController().select(user_api="blas")
