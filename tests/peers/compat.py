"""Faults of perf_analyzer that its users' scripts run into: started under its name, Sextant does
not have them. `sextant serve` simulates the models, a real Triton serves where outputs matter.
"""

import contextlib
import json
import os
import re
import tempfile

import faults
from capture import MODELS as TRITON_MODELS
from processes import (
    HERE,
    Run,
    expect,
    instances,
    near,
    parse_report,
    real_triton,
    sextant_serve,
    tensors,
)


@contextlib.contextmanager
def folder_with_program(sextant):
    """A folder, and in it the program under perf_analyzer's name."""
    with tempfile.TemporaryDirectory(prefix="sextant_peers_") as folder:
        program = os.path.join(folder, "perf_analyzer")
        os.symlink(os.path.abspath(sextant), program)
        yield folder, program


def run(program, server, model, *options):
    url = f"127.0.0.1:{server.ports['http']}"
    return Run([program, "-m", model, "-u", url, *map(str, options)])


def sweep_raises_concurrency(sextant):
    """D1: -a with fewer threads than requests in flight stays at the first level's concurrency."""
    models = faults.simulated(16, service_time="fixed(10ms)")
    with folder_with_program(sextant) as (_, program), sextant_serve(sextant, models) as server:
        options = ["-a", "--max-threads", 4, "--concurrency-range", "4:16:4", "-p", 250]
        done = run(program, server, faults.MODEL, *options).wait()
        levels = parse_report(done.text)
        expect(len(levels) == 4, f"{len(levels)} levels:\n{done.text}")
        for level, concurrency in zip(levels, (4, 8, 12, 16)):
            print(f"concurrency {concurrency}: {level['throughput']:g} infer/s")
            near("requests in flight", level["throughput"] * level["avg"] / 1e6, concurrency, 0.03)


def client_overhead(sextant):
    """D8: the client's own cost is said to be 0.00 % where it takes most of a core."""
    null = {faults.MODEL: 'backend: "null"\n' + tensors("TYPE_FP32", 16) + instances(1)}
    with folder_with_program(sextant) as (_, program), sextant_serve(sextant, null) as server:
        done = run(
            program, server, faults.MODEL, "-v", "-p", 250, "--concurrency-range", 16
        ).wait()
        found = re.search(r"Avg client overhead: ([\d.]+)%", done.text)
        expect(found is not None, f"no client overhead:\n{done.text}")
        print(f"client overhead {found[1]} %")
        expect(float(found[1]) > 5, "a client that sends as fast as it can has hardly any cost")


def big_tensors_stay_out_of_memory(sextant):
    """D6: every input and output is copied into memory for an export that nobody asked for."""
    size_kb, limit_mib = 600, 100
    null = {faults.MODEL: 'backend: "null"\n' + tensors("TYPE_FP32", size_kb * 250) + instances(1)}
    with folder_with_program(sextant) as (_, program), sextant_serve(sextant, null) as server:
        done = run(program, server, faults.MODEL, "-p", 500, "-s", 999).wait()
        report = done.report()
        moved = report["requests"] * size_kb / 1024
        print(f"{moved:.0f} MiB sent, {done.peak_rss_mib:.0f} MiB of memory")
        expect(done.peak_rss_mib < limit_mib, f"more than {limit_mib} MiB of memory")


def mistakes_are_answers(sextant):
    """D11, D12, D13, D15: missing help, crashes, wrong words, files that nobody can write."""
    with folder_with_program(sextant) as (folder, program):
        done = Run([program, "--help"]).wait()
        expect(done.exit_code == 0 and "--concurrency-range" in done.text, "--help: no help")
        two_modes = ["--request-rate-range", "5", "--concurrency-range", "7"]
        missing = os.path.join(folder, "missing", "report.csv")
        for options, word in (
            (["--max-threads", "99999999999x"], "--max-threads"),
            (["--max-threads", "99999999999999999999999"], "--max-threads"),
            (["-b", "99999999999999999999"], "-b"),
            (two_modes, "--request-rate-range"),
            (["-f", missing], missing),
            (["--service-kind", "openai"], "genai-perf"),
            (["--enable-mpi"], "sextant perf"),
            (["--concurrency-range", "4:2"], "4:2"),
            (["--percentile", "100"], "--percentile"),
            (["-s", "-1"], "-s"),
        ):
            done = Run([program, "-m", "any", *options]).wait()
            print(f"{' '.join(options)}: {done.exit_code}, {done.text.splitlines()[0]}")
            expect(done.exit_code == 99, f"exit code {done.exit_code}")
            expect(word in done.text, f"'{word}' is not named")


def output_tensor_format(sextant):
    """D14: --output-tensor-format has no effect."""
    models = {"plain": TRITON_MODELS["plain"].replace("dims: [ 4 ]", "dims: [ 1000 ]")}
    per_request = {}
    with folder_with_program(sextant) as (folder, program):
        with real_triton(models, f"{HERE}/delayed_identity.py") as server:
            for inputs in "binary", "json":
                for outputs in "binary", "json":
                    path = os.path.join(folder, f"{inputs}_{outputs}")
                    options = ["--input-tensor-format", inputs, "--output-tensor-format", outputs]
                    done = run(
                        program, server, "plain", *options, "--request-count", 50, "-o", path
                    ).wait()
                    expect(done.exit_code == 0, f"{options}: {done.text}")
                    with open(path) as file:
                        level = json.loads(file.readlines()[1])
                    client = level["client"]
                    sizes = client["bytes_sent"] / 50, client["bytes_received"] / 50
                    print(f"{inputs} in, {outputs} out: {sizes[0]:.0f} and {sizes[1]:.0f} bytes")
                    per_request[inputs, outputs] = sizes
    for (inputs, outputs), (sent, received) in per_request.items():
        for form, size in (inputs, sent), (outputs, received):
            if form == "binary":
                expect(4000 <= size < 4700, f"{size:.0f} bytes for 4000 of binary data")
            else:
                expect(size > 8000, f"{size:.0f} bytes for 1000 numbers as text")


def unstable_levels_are_reported(sextant):
    """D15: a sweep ends at the first level that is not stable, with exit code 0 and no word."""
    models = faults.simulated(4, service_time="exponential(2ms)")
    with folder_with_program(sextant) as (folder, program):
        with sextant_serve(sextant, models) as server:
            path = os.path.join(folder, "report.csv")
            options = ["-s", 0, "-r", 3, "-p", 50, "--concurrency-range", "1:3", "-f", path]
            done = run(program, server, faults.MODEL, *options).wait()
        levels = parse_report(done.text)
        with open(path) as file:
            rows = file.read().splitlines()
        print(f"{len(levels)} levels, {len(rows) - 1} rows, exit code {done.exit_code}")
        expect(len(levels) == 3 and len(rows) == 4, done.text)
        expect(done.exit_code == 2, f"exit code {done.exit_code}")
        said = done.text.count("Failed to obtain stable measurement within 3 measurement windows")
        expect(said == 3, f"said of {said} levels of 3 that they are not stable")


def composing_files(sextant):
    """D18: with a folder in -f's path, the composing models' files are not written, silently."""
    with folder_with_program(sextant) as (folder, program):
        with real_triton(TRITON_MODELS, f"{HERE}/delayed_identity.py") as server:
            path = os.path.join(folder, "report.csv")
            done = run(program, server, "chain", "-p", 200, "-s", 999, "-f", path).wait()
            expect(done.exit_code == 0, done.text)
        for model in "first", "second":
            with open(os.path.join(folder, f"{model}_v1.report.csv")) as file:
                header, row = file.read().splitlines()
            print(f"{model}: {row}")
            expect(header.startswith("Concurrency,Inferences/Second,Client Send,Network"), header)
            cells = row.split(",")
            expect(len(cells) == len(header.split(",")), row)
            near("infer/s", float(cells[1]), done.report()["throughput"], 0.02)


def stall_between_windows(sextant):
    """D5: with its windows too, what was left out is said."""
    seconds = 2
    models = faults.simulated(40, service_time="fixed(10ms)")
    with folder_with_program(sextant) as (_, program), sextant_serve(sextant, models) as server:
        options = ["-p", 250, "-r", 60, "--concurrency-range", 2]
        process = run(program, server, faults.MODEL, *options)
        faults.stall(server, process, seconds, 60)
        done = process.wait()
        print(f"exit code {done.exit_code}, {[n for n in done.text.splitlines() if 'Note' in n]}")
        expect("do not count" in done.text or "Failed to obtain stable" in done.text, done.text)
        expect("no request succeeded" in done.text, "the stall is not told of")


CASES = {
    "sweep_raises_concurrency": sweep_raises_concurrency,
    "client_overhead": client_overhead,
    "big_tensors_stay_out_of_memory": big_tensors_stay_out_of_memory,
    "mistakes_are_answers": mistakes_are_answers,
    "output_tensor_format": output_tensor_format,
    "unstable_levels_are_reported": unstable_levels_are_reported,
    "composing_files": composing_files,
    "stall_between_windows": stall_between_windows,
}
