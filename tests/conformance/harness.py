"""Cases, what they observe, and how two observations are compared.

A case is a function that drives one server and returns what it saw: plain dicts, lists and values.
The runner gives it first `sextant serve` and then Triton, and compares. Members whose name starts
with "_" are shown with a difference but not compared. What may differ, and why, is in
allowed_differences.py.
"""

import base64
import json
import math
import re

import numpy

GROUPS = {}


def case(*groups, instead_of_triton=None):
    """Registers a case in groups. `instead_of_triton`: (reason, observation by protocol), for what
    must not be asked of Triton itself."""

    def register(function):
        function.instead_of_triton = instead_of_triton
        for group in groups:
            GROUPS.setdefault(group, []).append(function)
        return function

    return register


def words_in(text, words):
    """Which of the words occur in an error text, whatever their case and spacing."""
    plain = re.sub(r"\s+", " ", text.lower())
    return {word: word.lower() in plain for word in words}


class Says(dict):
    """Words that an error text must contain, with whether it does: all must, on both servers."""


def refusal(status, text, words):
    return {"status": str(status), "says": Says(words_in(text, words)), "_text": text}


def values_of(array):
    """A tensor's elements as something that compares and prints."""
    if array is None:
        return None
    if array.dtype == numpy.object_:
        flat = [v if isinstance(v, bytes) else str(v).encode() for v in array.reshape(-1)]
        return [v.decode("ascii") if v.isascii() else "hex:" + v.hex() for v in flat]
    out = array.reshape(-1).tolist()
    return ["nan" if isinstance(v, float) and math.isnan(v) else v for v in out]


def brief(value, limit=600):
    text = value if isinstance(value, str) else json.dumps(value, default=repr, sort_keys=True)
    return text if len(text) <= limit else text[:limit] + "..."


class _Absent:
    def __repr__(self):
        return "(absent)"


ABSENT = _Absent()


def differences(ours, theirs, path=""):
    """Yields (path, ours, theirs) for every place where two observations disagree."""
    if isinstance(ours, Says) and isinstance(theirs, Says):
        for word in ours.keys() | theirs.keys():
            if not (ours.get(word) and theirs.get(word)):
                yield f"{path}.says '{word}'", ours.get(word, ABSENT), theirs.get(word, ABSENT)
    elif isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(ours.keys() | theirs.keys(), key=str):
            if not str(key).startswith("_"):
                inner = f"{path}.{key}" if path else str(key)
                yield from differences(ours.get(key, ABSENT), theirs.get(key, ABSENT), inner)
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for i, (a, b) in enumerate(zip(ours, theirs)):
            yield from differences(a, b, f"{path}[{i}]")
    elif isinstance(ours, bytes) and isinstance(theirs, bytes):
        if ours != theirs:
            yield path, base64.b64encode(ours).decode(), base64.b64encode(theirs).decode()
    elif type(ours) is not type(theirs) or ours != theirs:
        yield path, ours, theirs


def hidden(observation):
    """The members that are shown but not compared."""
    out = []
    if isinstance(observation, dict):
        for key, value in observation.items():
            if not str(key).startswith("_"):
                out += hidden(value)
            elif value is not None:
                out.append(value)
    elif isinstance(observation, list):
        for value in observation:
            out += hidden(value)
    return out
