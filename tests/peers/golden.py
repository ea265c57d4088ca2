"""Started as perf_analyzer, Sextant prints and writes what the golden files in tests/golden say.

They were made from the real perf_analyzer on a real Triton (tests/golden/capture.py); this runs
Sextant on one, and compares. What differs on purpose is named below, with its reason.
"""

import os
import sys
import tempfile

from processes import HERE, Failure

GOLDEN = os.path.join(HERE, "..", "golden")
sys.path.insert(0, GOLDEN)

import capture  # noqa: E402

# Its own words for what is wrong, and where nothing is wrong here.
OWN_WORDS = {
    "no_model": "the message",
    "bad_option": "the message",
    "two_modes": "the message",
    "unknown_model": "the message",
    "batch_of_unbatched": "the message",
}
LEFT_OUT = {
    "version": "the version is Sextant's",
    "rate_count": "a rate above the number of requests is no mistake",
    "overload": "requests go out on time whatever the server does (D9)",
    "latency_limit": "the limit has tests of its own",
}
# A machine that is too busy sends late, and both programs say so.
DELAYED = ("    Avg send request rate:", "    [WARNING] Perf Analyzer was not able to keep up")


def golden(name):
    """The golden outputs of a variant, by suffix."""
    out = {}
    for file in os.listdir(GOLDEN):
        stem, _, suffix = file.partition(".")
        if stem == name:
            with open(os.path.join(GOLDEN, file)) as opened:
                out[suffix] = opened.read()
    return out


def without_delays(text):
    return "".join(line for line in text.splitlines(True) if not line.startswith(DELAYED))


def differences(name, theirs, ours):
    """What is not as in the golden files, as lines."""
    faults = []
    if ours.get("rc") != theirs["rc"]:
        faults.append(f"exit code {ours.get('rc', '').strip()}, golden {theirs['rc'].strip()}")
    if name in OWN_WORDS:
        if not ours.get("err"):
            faults.append("no message")
        return faults
    if name.startswith("unstable"):
        # An unstable level is said to be one in the same words, but it is reported too (D15).
        for line in theirs["err"].splitlines():
            if line not in ours.get("err", "").splitlines():
                faults.append(f"stderr lacks: {line}")
        if not ours["out"].startswith(theirs["out"]) or "Throughput:" not in ours["out"]:
            faults.append("the unstable level has no report")
        return faults
    for suffix in "out", "csv", "json":
        have, want = without_delays(ours.get(suffix, "")), theirs.get(suffix, "")
        if have != want:
            faults.append(f"{suffix} is\n{have}and golden is\n{want}")
    return faults


def golden_formats(sextant):
    with tempfile.TemporaryDirectory(prefix="sextant_peers_") as folder:
        program = os.path.join(folder, "perf_analyzer")
        os.symlink(os.path.abspath(sextant), program)
        names = [name for name in capture.VARIANTS if name not in LEFT_OUT]
        faults = []
        for name, ours in capture.capture([program], names):
            found = differences(name, golden(name), ours)
            print(f"{name}: {'differs' if found else 'as the golden files'}")
            faults += [f"{name}: {fault}" for fault in found]
        if faults:
            raise Failure("\n".join(faults))


CASES = {"golden_formats": golden_formats}
