"""Where `sextant serve` differs from Triton on purpose or by nature, and why. Nothing else may."""

import re

ROWS = []
_used = set()


def reason(case, path, ours, theirs):
    """Why this difference is allowed, or None."""
    for i, (case_pattern, path_pattern, why) in enumerate(ROWS):
        if re.fullmatch(case_pattern, case) and re.fullmatch(path_pattern, path):
            _used.add(i)
            return why
    return None


def stale(groups):
    return []
