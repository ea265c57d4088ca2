#!/usr/bin/env python3
"""Makes the golden files: runs perf_analyzer on a real Triton, in each variant of its formats.

    capture.py FOLDER [PROGRAM...]

writes NAME.out, NAME.err, NAME.csv and NAME.json of each variant into FOLDER, normalised, NAME.rc
with the exit code, and of a profile export the first requests as they are, into NAME.raw. PROGRAM is what is run in perf_analyzer's place; without one it is the
real one, and FOLDER is this one. VARIANTS=NAME,NAME in the environment: only these. scripts/setup.sh --tests installs both programs.
"""

import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "peers"))

import normalize  # noqa: E402
from processes import HERE as PEERS  # noqa: E402
from processes import PERF_ANALYZER, ensemble_of, instances  # noqa: E402
from processes import parameters, real_triton, tensors  # noqa: E402

_QUICK = ["-p", "200", "-s", "999"]


def _plain(delay_ms=2, batch=0, count=4):
    return (
        (f"max_batch_size: {batch}\n" if batch else "")
        + tensors("TYPE_FP32", 4)
        + instances(count)
        + parameters(delay_ms=delay_ms)
    )


MODELS = {
    "plain": _plain(),
    "slow": _plain(delay_ms=40, count=1),
    "batching": _plain(batch=8),
    "first": _plain(),
    "second": _plain(),
    "chain": ensemble_of("first", "second", 4),
    "text": tensors("TYPE_STRING", 1) + instances(1) + parameters(delay_ms=2),
    "sequences": _plain(batch=8, count=1)
    + "sequence_batching { max_sequence_idle_microseconds: 5000000 }\n",
}

# By name: model, protocol, options; {f} is a folder for files.
VARIANTS = {
    "levels": ("plain", "http", [*_QUICK, "--concurrency-range", "1:3:2", "-f", "{f}/csv"]),
    "verbose": ("plain", "http", [*_QUICK, "-v", "-f", "{f}/csv", "--verbose-csv"]),
    "percentile": (
        "plain",
        "http",
        [*_QUICK, "-v", "--percentile", "97", "-f", "{f}/csv", "--verbose-csv"],
    ),
    "percentile_95": ("plain", "http", [*_QUICK, "--percentile", "95", "-f", "{f}/csv"]),
    "grpc": ("plain", "grpc", [*_QUICK, "-f", "{f}/csv"]),
    "grpc_verbose": ("plain", "grpc", [*_QUICK, "-v"]),
    "async": ("plain", "http", [*_QUICK, "--async", "--concurrency-range", "2"]),
    "rate": ("plain", "http", [*_QUICK, "--request-rate-range", "50:100:50", "-f", "{f}/csv"]),
    "rate_verbose": ("plain", "http", [*_QUICK, "--request-rate-range", "50", "-v"]),
    "poisson": (
        "plain",
        "grpc",
        [*_QUICK, "--request-rate-range", "50", "--request-distribution", "poisson"],
    ),
    "count": ("plain", "http", ["--request-count", "50", "-f", "{f}/csv"]),
    "count_warmup": (
        "plain",
        "http",
        ["--request-count", "50", "--warmup-request-count", "20", "-v"],
    ),
    "rate_count": ("plain", "http", ["--request-count", "50", "--request-rate-range", "100"]),
    "count_windows": (
        "plain",
        "http",
        ["--measurement-mode", "count_windows", "--measurement-request-count", "30", "-s", "999"],
    ),
    "batch": ("batching", "http", [*_QUICK, "-b", "4", "-f", "{f}/csv"]),
    "ensemble": ("chain", "http", [*_QUICK, "-f", "{f}/csv"]),
    "ensemble_verbose": ("chain", "grpc", [*_QUICK, "-v", "-f", "{f}/csv", "--verbose-csv"]),
    "export": ("plain", "http", [*_QUICK, "--profile-export-file", "{f}/json"]),
    "export_rate": (
        "plain",
        "grpc",
        [*_QUICK, "--request-rate-range", "50", "--profile-export-file", "{f}/json"],
    ),
    "export_batch": ("batching", "http", [*_QUICK, "-b", "2", "--profile-export-file", "{f}/json"]),
    "export_text": ("text", "grpc", [*_QUICK, "--profile-export-file", "{f}/json"]),
    "export_sequences": (
        "sequences",
        "grpc",
        [
            *[*_QUICK, "--request-rate-range", "50:75.5:25.5", "--num-of-sequences", "2"],
            *["--sequence-length", "3", "--profile-export-file", "{f}/json"],
        ],
    ),
    "unstable": ("plain", "http", ["-p", "50", "-s", "0", "-r", "3"]),
    "unstable_count": (
        "plain",
        "http",
        [
            *["--measurement-mode", "count_windows", "--measurement-request-count", "5"],
            *["-s", "0", "-r", "3"],
        ],
    ),
    "latency_limit": ("plain", "http", [*_QUICK, "-l", "1", "--concurrency-range", "1:4"]),
    "version": (None, None, ["--version"]),
    "no_model": (None, None, []),
    "bad_option": (None, None, ["-m", "plain", "--nonsense"]),
    "two_modes": (
        None,
        None,
        ["-m", "plain", "--concurrency-range", "1", "--request-rate-range", "1"],
    ),
    "unknown_model": ("absent", "http", []),
    "batch_of_unbatched": ("plain", "http", ["-b", "2"]),
    # The last: an open loop beyond what the server can do leaves a queue behind.
    "overload": ("slow", "http", [*_QUICK, "--request-rate-range", "500:600:100"]),
}


def run(program, server, name, folder):
    """The normalised outputs of a variant, by suffix."""
    model, protocol, options = VARIANTS[name]
    command = [*program]
    if model:
        command += ["-m", model, "-i", protocol, "-u", f"127.0.0.1:{server.ports[protocol]}"]
    command += [option.replace("{f}", folder) for option in options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    out = {
        "out": normalize.text(done.stdout).replace(folder, "FOLDER"),
        "err": normalize.text(done.stderr.partition("Usage:")[0]).replace(folder, "FOLDER"),
        "rc": f"{done.returncode}\n",
    }
    for file in sorted(os.listdir(folder)):
        with open(os.path.join(folder, file)) as opened:
            content = opened.read()
        if file == "json":
            out["json"] = normalize.export(content)
            out["raw"] = normalize.first_requests(content)
        else:
            out[file] = normalize.csv(content)
    return {suffix: text for suffix, text in out.items() if text}


def capture(program, names=None):
    """(name, outputs by suffix) of each variant, against one Triton."""
    with real_triton(MODELS, f"{PEERS}/delayed_identity.py") as server:
        for model, (_, protocol, _) in {v[0]: v for v in VARIANTS.values() if v[0]}.items():
            if model in MODELS:  # the first requests of each instance take long
                url = f"127.0.0.1:{server.ports[protocol]}"
                warm = ["-m", model, "-i", protocol, "-u", url, "--request-count", "30"]
                subprocess.run([*program, *warm], capture_output=True, check=False)
        for name in names or VARIANTS:
            with tempfile.TemporaryDirectory(prefix="sextant_golden_") as folder:
                yield name, run(program, server, name, folder)


def main():
    if len(sys.argv) < 2:
        print(__doc__)
        return 2
    names = [name for name in VARIANTS if name in os.environ.get("VARIANTS", name).split(",")]
    for name, outputs in capture(sys.argv[2:] or [PERF_ANALYZER], names):
        for suffix, text in outputs.items():
            with open(os.path.join(sys.argv[1], f"{name}.{suffix}"), "w") as file:
                file.write(text)
        print(name, *outputs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
