"""Runs the conformance cases of one group against `sextant serve` and a real Triton.

usage: run.py --sextant PATH GROUP...

Prints a line per case; exits 0 when the servers agree everywhere (but for allowed_differences.py),
1 when they differ, 77 when Triton is not installed and SEXTANT_REQUIRE_PEERS is not 1.
"""

import argparse
import os
import sys
import time
import traceback

import allowed_differences
import cases_common  # noqa: F401  (registers its cases)
import cases_control  # noqa: F401
import cases_grpc  # noqa: F401
import cases_http  # noqa: F401
import cases_metrics  # noqa: F401
import cases_shared_memory  # noqa: F401
import cases_stream  # noqa: F401
import harness
import kits
import models
import servers

SKIPPED = 77

# Of each group: the kit its cases are given, and the models that are loaded when it starts.
INFERENCE_MODELS = [
    name for name in models.MODELS if name not in ("late", "broken", "decoupled_none", "gpu")
]
GROUPS = {
    "http": (kits.HttpKit, INFERENCE_MODELS),
    "grpc": (kits.GrpcKit, INFERENCE_MODELS),
    "stream": (
        kits.GrpcKit,
        ["plain", "slow", "failing", "decoupled", "decoupled_none", "decoupled_failing", "pair"],
    ),
    "shared_memory": (kits.HttpKit, ["plain", "types", "labels"]),
    "control": (kits.HttpKit, ["plain", "versions"]),
    "no_control": (kits.HttpKit, None),
    "metrics": (kits.HttpKit, ["plain", "counted", "merging", "failing", "queue_limit", "versions"]),
}


def observe(function, kit):
    try:
        return function(kit)
    except Exception as e:  # a case that breaks is a difference, not the end of the run
        where = traceback.extract_tb(e.__traceback__)[1]
        return {"broke": f"{type(e).__name__}: {e} (line {where.lineno})"}


def run_case(group, function, kit_type, pair):
    observations, times = [], []
    for server in pair:
        if server.label == "triton" and function.instead_of_triton:
            observations.append(function.instead_of_triton[1](kit_type.protocol))
            times.append(0)
            continue
        kit = kit_type(server)
        begin = time.monotonic()
        observations.append(observe(function, kit))
        times.append(time.monotonic() - begin)
        kit.close()
    name = f"{group}.{function.__name__}"
    found = [d for d in harness.differences(*observations)]
    allowed = [allowed_differences.reason(name, path, a, b) for path, a, b in found]
    bad = [d for d, reason in zip(found, allowed) if reason is None]
    if not bad and any("broke" in o for o in observations if isinstance(o, dict)):
        bad = [("", observations[0], observations[1])]
    note = f"  ({len(found)} allowed)" if found and not bad else ""
    verdict = "DIFFERS" if bad else "OK     "
    print(f"{verdict} {name}  {times[0]:.2f} s / {times[1]:.2f} s{note}", flush=True)
    for path, a, b in bad:
        print(f"    at {path}\n      serve:  {harness.brief(a)}\n      triton: {harness.brief(b)}")
    if bad:
        for server, observation in zip(pair, observations):
            for text in harness.hidden(observation):
                print(f"      {server.label} said: {harness.brief(text, 2000)}")
    return not bad


def run_group(group, sextant, only):
    kit_type, load = GROUPS[group]
    mode = "none" if load is None else "explicit"
    names = ["plain"] if load is None else list(models.MODELS)
    failed = []

    def stop(pair):
        codes = [server.stop() for server in pair]
        if codes[0] != 0:
            print(f"serve ended with exit code {codes[0]}")
            failed.append(f"{group}: exit code")

    pair = servers.start_pair(sextant, names, load, mode)
    try:
        for function in harness.GROUPS[group]:
            if only and only not in function.__name__:
                continue
            name = f"{group}.{function.__name__}"
            if not run_case(group, function, kit_type, pair):
                failed.append(name)
            ended = [server for server in pair if not server.alive()]
            for server in ended:
                print(f"{server.label} ended in {name}:\n{server.log()[-4000:]}")
                failed.append(f"{name}: {server.label} ended")
            if ended:
                stop(pair)
                pair = servers.start_pair(sextant, names, load, mode)
    finally:
        stop(pair)
    return failed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sextant", required=True, help="the program under test")
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    parser.add_argument("groups", nargs="+", choices=sorted(GROUPS), metavar="GROUP")
    arguments = parser.parse_args()
    failed = []
    try:
        for group in arguments.groups:
            failed += run_group(group, os.path.abspath(arguments.sextant), arguments.only)
    except servers.PeerAbsent as e:
        if os.environ.get("SEXTANT_REQUIRE_PEERS") == "1":
            print(f"FAILED: {e}")
            return 1
        print(f"SKIPPED: {e}")
        return SKIPPED
    if not failed and not arguments.only:
        failed += allowed_differences.stale(arguments.groups)
    for name in failed:
        print(f"FAILED: {name}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
