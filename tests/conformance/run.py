"""Runs the conformance cases, of all groups or the named ones, against `sextant serve` and a real
Triton.

usage: run.py --sextant PATH [--only TEXT] [GROUP...]

Prints a line per case; exits 0 when the servers agree everywhere (but for allowed_differences.py),
1 when they differ, 77 when Triton is not installed and SEXTANT_REQUIRE_PEERS is not 1.
"""

import argparse
import concurrent.futures
import dataclasses
import os
import sys
import time
import traceback

import allowed_differences
import cases_common  # noqa: F401  (registers its cases)
import cases_control  # noqa: F401
import cases_ensemble  # noqa: F401
import cases_grpc  # noqa: F401
import cases_http  # noqa: F401
import cases_metrics  # noqa: F401
import cases_sequence  # noqa: F401
import cases_shared_memory  # noqa: F401
import cases_stream  # noqa: F401
import harness
import kits
import models
import servers

SKIPPED = 77

BOTH = (kits.HttpKit, kits.GrpcKit)
UNFIT = [model.name for model, _ in models.UNFIT]
LOADED = [name for name in models.MODELS if name not in ("late", "broken", *UNFIT)]
SEQUENCE = tuple(name for name in models.MODELS if name.startswith("adder_"))
ENSEMBLE = ("adder_direct", "types", "pair", "merging", "counted") + tuple(
    name
    for name, model in models.MODELS.items()
    if isinstance(model, models.Ensemble) or name.startswith("step_")
)
COMMON = tuple(name for name in models.MODELS if name not in {*SEQUENCE, *ENSEMBLE[5:]})


@dataclasses.dataclass
class Group:
    kits: tuple
    models: tuple = COMMON
    mode: str = "explicit"

    def same_servers(self, other):
        return other is not None and (self.models, self.mode) == (other.models, other.mode)


GROUPS = {
    "http": Group((kits.HttpKit,)),
    "grpc": Group((kits.GrpcKit,)),
    "stream": Group((kits.GrpcKit,)),
    "shared_memory": Group(BOTH),
    "metrics": Group((kits.HttpKit,)),
    "control": Group(BOTH),
    "sequence": Group(BOTH, models=SEQUENCE),
    "ensemble": Group(BOTH, models=ENSEMBLE),
    "no_control": Group(BOTH, models=("plain",), mode="none"),
}


def observe(function, kit):
    try:
        return function(kit)
    except Exception as e:  # a case that breaks is a difference, not the end of the run
        where = traceback.extract_tb(e.__traceback__)[1]
        return {"broke": f"{type(e).__name__}: {e} (line {where.lineno})"}


def observe_one(function, kit_type, server):
    """What the case sees of one server, and how long it took."""
    if server.label == "triton" and function.instead_of_triton:
        return function.instead_of_triton[1](kit_type.protocol), 0.0
    begin = time.monotonic()
    kit = kit_type(server)
    try:
        return observe(function, kit), time.monotonic() - begin
    finally:
        kit.close()


def run_case(name, function, kit_type, pair):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(observe_one, function, kit_type, server) for server in pair]
        observations, times = zip(*[run.result() for run in runs])
    found = list(harness.differences(*observations))
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


class Run:
    """The cases of all groups, with one pair of servers for all groups that can share it."""

    def __init__(self, sextant, only):
        self.sextant, self.only = sextant, only
        self.group, self.pair = None, None
        self.done, self.failed = [], []

    def start(self, group):
        begin = time.monotonic()
        loaded = [name for name in LOADED if name in group.models]
        self.pair = servers.start_pair(self.sextant, group.models, loaded, group.mode)
        self.group = group
        print(f"both servers are ready after {time.monotonic() - begin:.1f} s", flush=True)

    def stop(self):
        if self.pair is None:
            return
        codes = servers.stop_pair(self.pair)
        self.group, self.pair = None, None
        if codes[0] != 0:
            print(f"serve ended with exit code {codes[0]}")
            self.failed.append(f"exit code {codes[0]} of serve")

    def run(self, group_name):
        group = GROUPS[group_name]
        for kit_type in group.kits:
            if not group.same_servers(self.group):
                self.stop()
                self.start(group)
            prefix = group_name if len(group.kits) == 1 else f"{group_name}.{kit_type.protocol}"
            for function in harness.GROUPS[group_name]:
                name = f"{prefix}.{function.__name__}"
                if self.only in name:
                    self.run_one(name, function, kit_type)

    def run_one(self, name, function, kit_type):
        self.done.append(name)
        if not run_case(name, function, kit_type, self.pair):
            self.failed.append(name)
        ended = [server for server in self.pair if not server.alive()]
        if not ended:
            return
        for server in ended:
            print(f"{server.label} ended in {name}:\n{server.log()[-4000:]}")
            self.failed.append(f"{name}: {server.label} ended")
        group = self.group
        self.stop()
        self.start(group)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sextant", required=True, help="the program under test")
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(GROUPS)}")
    arguments = parser.parse_args()
    groups = arguments.groups or list(GROUPS)
    if unknown := [group for group in groups if group not in GROUPS]:
        parser.error(f"no such group: {', '.join(unknown)}")
    run = Run(os.path.abspath(arguments.sextant), arguments.only)
    try:
        try:
            for group in groups:
                run.run(group)
        finally:
            run.stop()
    except servers.PeerAbsent as e:
        if os.environ.get("SEXTANT_REQUIRE_PEERS") == "1":
            print(f"FAILED: {e}")
            return 1
        print(f"SKIPPED: {e}")
        return SKIPPED
    if not run.failed and not arguments.only:
        run.failed += allowed_differences.stale(run.done)
    for name in run.failed:
        print(f"FAILED: {name}")
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())
