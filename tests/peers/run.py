"""One case of the comparison with the real perf_analyzer: run.py CASE SEXTANT.

A case prints what both programs reported and what is true, and fails with the figures that do not
agree.
"""

import signal
import sys

import agreement
import analyzing
import analyzing_containers
import analyzing_together
import beyond
import faults
import streams
import golden  # puts tests/golden into the path, where compat looks too
import compat
import exports
import mix
import transport
from processes import Failure, Unable

CASES = {
    **agreement.CASES,
    **faults.CASES,
    **streams.CASES,
    **compat.CASES,
    **exports.CASES,
    **golden.CASES,
    **beyond.CASES,
    **transport.CASES,
    **mix.CASES,
    **analyzing.CASES,
    **analyzing_together.CASES,
    **analyzing_containers.CASES,
}


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in CASES:
        print(f"usage: run.py CASE SEXTANT, where CASE is one of: {', '.join(CASES)}")
        return 2
    # Tables are followed while they grow, through a pipe too.
    sys.stdout.reconfigure(line_buffering=True)
    # Ended from outside, it stops its servers all the same.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        CASES[sys.argv[1]](sys.argv[2])
    except Failure as failure:
        print(f"FAILED: {failure}", file=sys.stderr)
        return 1
    except Unable as reason:
        print(f"this machine cannot run the case: {reason}", file=sys.stderr)
        return 77
    return 0


if __name__ == "__main__":
    sys.exit(main())
