"""The rows of a claim: one after the other, or by several processes."""

import functools
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, as_completed

from examples.claims.claim import load
from keras_dlparts.support.processes import environment


def made(claim, wanted, budget, folder, jobs):
    """The rows of (seed, way) pairs: in their order, or with several jobs as they come.

    The processes are those of Python's own pool, so that what makes a row must not be
    in `__main__`, which they do not import.
    """
    asked = [(claim.name, *one, budget, folder) for one in wanted]
    if jobs == 1 or len(asked) < 2:
        yield from (row_of(*one) for one in asked)
        return
    pool = pool_of(min(jobs, len(asked)))
    try:
        for task in as_completed([pool.submit(row_of, *one) for one in asked]):
            yield task.result()
    finally:  # none is begun after one has failed
        pool.shutdown(cancel_futures=True)


def pool_of(count):
    """Processes of which each has its share of the processor, and its accelerator."""
    context = multiprocessing.get_context("spawn")
    shares = context.SimpleQueue()
    for number in range(count):
        shares.put(environment(number, count))
    return ProcessPoolExecutor(count, context, _take_one, (shares,))


def _take_one(shares):
    """Before anything is imported that looks at what a process may use."""
    os.environ.update(shares.get())


def row_of(name, seed, way, budget, folder):
    """One row, made as if this process had made no other before."""
    import keras

    claim, module = claim_and_module(name)
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    return claim.run(module, way, seed, budget, folder)


@functools.cache
def claim_and_module(name):
    """A claim and its `run.py`, which is loaded once a process."""
    claim = load(name)
    return claim, claim.module()
