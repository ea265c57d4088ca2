"""Takes what differs from run to run out of a load generator's output, and leaves its form.

Numbers become N (those within a name, such as p99, stay), times and ports too; lines that stand a
varying number of times (-v's passes) become one. Two outputs of the same form are then equal.
"""

import json
import re

_NUMBER = re.compile(r"(?<![A-Za-z_\d.])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")
_PASS = re.compile(r"(  Pass \[N\][^\n]*\n)+")


def text(output):
    """A report: stdout, or stderr."""
    output = _NUMBER.sub("N", output)
    return _PASS.sub(r"\1", output)


def csv(output):
    """A CSV file: its header as it is, its rows' cells as numbers."""
    header, *rows = output.splitlines()
    return "\n".join([header, *dict.fromkeys(_NUMBER.sub("N", row) for row in rows)]) + "\n"


def _shape(value):
    """A JSON value's form: members and types, lists as their distinct elements."""
    if isinstance(value, dict):
        return {key: _shape(member) for key, member in sorted(value.items())}
    if isinstance(value, list):
        forms = []
        for element in value:
            form = _shape(element)
            if form not in forms:
                forms.append(form)
        return forms
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return value if value is None else "text"


def export(output):
    """A --profile-export-file."""
    return json.dumps(_shape(json.loads(output)), indent=1) + "\n"


def first_requests(output, count=3):
    """A --profile-export-file with no more than the first requests of each experiment."""
    whole = json.loads(output)
    for experiment in whole["experiments"]:
        del experiment["requests"][count:]
    return json.dumps(whole, separators=(",", ":"), ensure_ascii=False) + "\n"
