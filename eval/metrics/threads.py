"""Linear algebra on one thread: sums that threads split differently differ in their last bits."""

import contextlib
import functools

import threadpoolctl


def one_thread() -> contextlib.AbstractContextManager:
    """A context in which BLAS runs on one thread; at the sizes of metrics that is no slower."""
    return _controller().limit(limits=1, user_api="blas")


@functools.cache
def _controller() -> threadpoolctl.ThreadpoolController:
    """The linear algebra libraries of this process; finding them takes milliseconds."""
    return threadpoolctl.ThreadpoolController()
