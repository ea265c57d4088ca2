"""Profile exports on a real Triton, and faults of perf_analyzer that single requests show."""

import json
import os
import tempfile

from compat import folder_with_program, run
from processes import (
    HERE,
    expect,
    instances,
    near,
    parameters,
    real_triton,
    sextant_perf,
    sextant_serve,
    tensors,
)
import faults
from streams import DECOUPLED, MODELS, data_file, exactly, measure

IDENTITY = os.path.join(HERE, "delayed_identity.py")


def export(sextant, server, protocol, model, *options):
    """The only experiment of a run, and its level."""
    with tempfile.TemporaryDirectory(prefix="sextant_peers_") as folder:
        path = os.path.join(folder, "export.json")
        level, _ = measure(
            sextant, server, protocol, model, "--profile-export-file", path, *options
        )
        with open(path) as file:
            experiments = json.load(file)["experiments"]
    exactly("experiments", len(experiments), 1)
    requests = experiments[0]["requests"]
    exactly("requests of the file", len(requests), level["succeeded"])
    latencies = [r["response_timestamps"][-1] - r["timestamp"] for r in requests]
    near("mean latency", sum(latencies) / len(latencies), level["latency_ns"]["mean"]["value"], 0.002)
    return requests, level


def check_sequences(requests):
    by_id = {}
    for request in requests:
        by_id.setdefault(request["sequence_id"], []).append(request)
    whole = [r for r in by_id.values() if len(r) == 4]
    expect(len(whole) >= len(by_id) - 4, f"{len(whole)} of {len(by_id)} sequences have 4 requests")
    print(f"  {len(whole)} whole sequences")


def check_responses(requests):
    """INPUT is how many responses there are; behind them comes an end by itself."""
    for request in requests:
        count = request["request_inputs"]["INPUT"]
        values = [r["OUTPUT"] for r in request["response_outputs"]]
        expect(values == [count] * count + [[]], f"{count} responses are {values}")
        stamps = [request["timestamp"], *request["response_timestamps"]]
        expect(stamps == sorted(stamps) and len(stamps) == count + 2, f"times {stamps}")


def check_periodic(requests, per_step, period):
    requests.sort(key=lambda r: r["timestamp"])
    for i, request in enumerate(requests[per_step:]):
        before = requests[i // per_step * per_step :][:per_step]
        needed = max(r["response_timestamps"][period - 1] for r in before)
        expect(request["timestamp"] >= needed, f"request {i + per_step} began before its step")


def exports(sextant):
    """What a real Triton's models are sent and answer is in the file."""
    sequences = (
        "max_batch_size: 8\n"
        + tensors("TYPE_FP32", 2)
        + instances(1)
        + parameters(delay_ms=1)
        + "sequence_batching { max_sequence_idle_microseconds: 5000000 }\n"
    )
    with real_triton({"m": sequences}, IDENTITY) as server:
        options = ["--sequence-length", 4, "--sequence-length-variation", 0, "--warmup", 0]
        for protocol in "http", "grpc":
            print(f"sequences over {protocol}")
            requests, _ = export(
                sextant, server, protocol, "m", "--concurrency-range", 2, "--requests", 80, *options
            )
            check_sequences(requests)
        print("sequences in perf_analyzer's windows")
        requests, level = export(
            sextant, server, "grpc", "m", "--request-rate-range", 100, "-p", 200, "-s", 999, *options
        )
        expect(level["sequences"]["completed"] > 5, "hardly a sequence was completed")
    repeat = tensors("TYPE_INT32", 1) + DECOUPLED + instances(2)
    with real_triton({"repeat": repeat}, os.path.join(MODELS, "repeat.py")) as server:
        print("a decoupled model")
        with data_file({"data": [{"INPUT": [5]}, {"INPUT": [1]}, {"INPUT": [0]}]}) as path:
            requests, _ = export(
                sextant, server, "grpc", "repeat", "--input-data", path,
                "--concurrency-range", 3, "--requests", 90, "--warmup", 0,
            )
        check_responses(requests)
        print("periodic concurrency")
        with data_file({"data": [{"INPUT": [40]}]}) as path:
            requests, _ = export(
                sextant, server, "grpc", "repeat", "--input-data", path, "--streaming",
                "--periodic-concurrency-range", "2:10:2", "--request-period", 7,
            )
        check_responses(requests)
        exactly("requests", len(requests), 10)
        check_periodic(requests, 2, 7)


def every_answer_counts(sextant):
    """D10: over HTTP with -a, stamps are set too late now and then, and samples dropped."""
    count = 20_000
    models = faults.simulated(16, service_time="fixed(50us)")
    with folder_with_program(sextant) as (folder, program):
        with sextant_serve(sextant, models) as server:
            path = os.path.join(folder, "export.json")
            options = ["-a", "--concurrency-range", 16, "--request-count", count]
            options += ["--profile-export-file", path]
            done = run(program, server, faults.MODEL, *options).wait()
            expect(done.exit_code == 0, done.text)
            expect("Timer" not in done.text, done.text)
            exactly("requests of the report", done.report()["requests"], count)
            exactly("inferences that the server counted", server.inferences(faults.MODEL), count)
            with open(path) as file:
                requests = json.load(file)["experiments"][0]["requests"]
            exactly("requests of the export", len(requests), count)
            for request in requests:
                latency = request["response_timestamps"][0] - request["timestamp"]
                expect(latency >= 50_000, f"a latency of {latency} ns where serving takes 50 us")


def fractions(sextant):
    """D17: rates below one per second, and floats that are written as whole numbers."""
    half = tensors("TYPE_FP16", 2) + instances(1) + parameters(delay_ms=1)
    single = tensors("TYPE_FP32", 4) + instances(1) + parameters(delay_ms=1)
    with folder_with_program(sextant) as (folder, program):
        intervals = os.path.join(folder, "intervals")
        with open(intervals, "w") as file:
            file.write("800000\n2200000\n")
        models = faults.simulated(2, service_time="fixed(1ms)")
        with sextant_serve(sextant, models) as server:
            options = ["--request-intervals", intervals, "--request-count", 3]
            done = run(program, server, faults.MODEL, *options).wait()
            rates = [n for n in done.text.splitlines() if "Request Rate: " in n]
            print(rates)
            expect(len(rates) == 2, done.text)
            expect(all("Request Rate: 0.666667" in n for n in rates), f"not 2 in 3 s: {rates}")
        with real_triton({"single": single, "half": half}, IDENTITY) as server:
            for model, rows in {
                "single": [[1, 2, 3, -4], [[0.5, 1], [2, 3]], [1e3, 1, 0, 16777216]],
                "half": [[1, 0.5], [-2, 65504]],
            }.items():
                path = os.path.join(folder, f"{model}.json")
                with data_file({"data": [{"INPUT": row} for row in rows]}) as data:
                    options = ["--input-data", data, "--request-count", len(rows)]
                    options += ["--profile-export-file", path]
                    done = run(program, server, model, *options).wait()
                expect(done.exit_code == 0, done.text)
                with open(path) as file:
                    requests = json.load(file)["experiments"][0]["requests"]
                for request, row in zip(requests, rows):
                    flat = sum(row, []) if isinstance(row[0], list) else row
                    exactly(f"{model} that was sent", request["request_inputs"]["INPUT"], flat)
                    answer = request["response_outputs"][0]["OUTPUT"]
                    exactly(f"{model} that came back", answer, flat)


def export_in_bounded_memory(sextant):
    """D6, D7: the export of a long run is not in memory, and not worked on for ever."""
    count, allowed_mib = 200_000, 16
    null = {faults.MODEL: 'backend: "null"\n' + tensors("TYPE_FP32", 16) + instances(1)}
    peaks = {}
    with tempfile.TemporaryDirectory(prefix="sextant_peers_") as folder:
        with sextant_serve(sextant, null) as server:
            path = os.path.join(folder, "export.json")
            load = ["--concurrency-range", 16, "--requests", count, "--warmup", 0]
            for options in [], ["--profile-export-file", path]:
                done = sextant_perf(sextant, server, "grpc", faults.MODEL, *load, *options).wait()
                exactly("requests", done.report()["requests"], count)
                peaks[bool(options)] = done.peak_rss_mib
                print(f"  {done.peak_rss_mib:.1f} MiB of memory, {done.wall_s:.1f} s")
            with open(path) as file:
                exactly("of the file", len(json.load(file)["experiments"][0]["requests"]), count)
    expect(peaks[True] < peaks[False] + allowed_mib, f"{allowed_mib} MiB more for the export")


CASES = {
    "exports": exports,
    "export_in_bounded_memory": export_in_bounded_memory,
    "every_answer_counts": every_answer_counts,
    "fractions": fractions,
}
