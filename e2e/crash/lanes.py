# SPDX-License-Identifier: Apache-2.0
"""Several servers side by side, each with a test process of its own."""

import multiprocessing
import os
import traceback
from concurrent.futures import ProcessPoolExecutor

LANES = 2
# The number of kills at random times; everything else grows with it.
ROUNDS = int(os.environ.get("CRASH_ROUNDS", "100"))
REPEATS = max(1, ROUNDS // 100)


def run(jobs):
    """`jobs`: (function, arguments..) each; returns their results, or raises the first failure."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(LANES, mp_context=context) as pool:
        started = [pool.submit(_in_words, function, *arguments) for function, *arguments in jobs]
        return [one.result() for one in started]


def _in_words(function, *arguments):
    """Not every exception survives the way to the process that waits for it."""
    try:
        return function(*arguments)
    except Exception:
        raise AssertionError(traceback.format_exc()) from None
