"""Where perf_analyzer's figures are wrong, Sextant's are right: one case for each fault.

perf_analyzer runs too where that is quick, and its figure is printed. What it says decides nothing:
a later perf_analyzer may do better. What is asserted is that Sextant's report is true, which is
known because `sextant serve` simulates a model whose times are declared.
"""

import json
import math
import os
import re
import statistics
import tempfile
import time

from processes import (
    Failure,
    expect,
    instances,
    near,
    parameters,
    parse_report,
    perf_analyzer,
    sextant_perf,
    sextant_serve,
    tensors,
)

MODEL = "simulated"
PROTOCOLS = ["http", "grpc"]


def simulated(instance_count, **truth):
    config = 'backend: "simulated"\n' + tensors("TYPE_FP32", 16) + instances(instance_count)
    return {MODEL: config + parameters(**truth)}


def say_peer(run, *figures):
    """What perf_analyzer says, which decides nothing: it may also say nothing."""
    levels = parse_report(run.text)
    if levels:
        say("perf_analyzer", levels[0], *figures)
    else:
        print(f"  perf_analyzer has no report; its last words: {last_words(run)}")


def last_words(run):
    return (run.text.strip().splitlines() or ["none"])[-1]


def say(who, report, *figures):
    words = [f"{f} {report[f]:g}" for f in figures if f in report]
    print(f"  {who} says: {', '.join(words)}")


def request_count_throughput(sextant):
    """D2: with --request-count, perf_analyzer divides by whole seconds of its own polling."""
    count, service_us = 130, 10_000
    with sextant_serve(sextant, simulated(1, service_time="fixed(10ms)")) as server:
        for protocol in PROTOCOLS:
            print(f"{protocol}: {count} requests, each served in {service_us} us")
            run = perf_analyzer(server, protocol, MODEL, "--request-count", count).wait()
            say_peer(run, "throughput", "avg")
            run = sextant_perf(sextant, server, protocol, MODEL, "--request-count", count).wait()
            report = run.report()
            say("sextant", report, "throughput", "avg")
            expect(report["requests"] == count, f"measured {report['requests']} requests")
            expect(report["avg"] >= service_us, "an average below the time that serving takes")
            # One request after the other: their number and their latency are the window.
            near("throughput", report["throughput"], 1e6 / report["avg"], 0.02)


def deviation_of(export):
    """Standard deviation of the latencies in a --profile-export-file, in microseconds."""
    with open(export) as file:
        requests = json.load(file)["experiments"][0]["requests"]
    return statistics.stdev((r["response_timestamps"][-1] - r["timestamp"]) / 1e3 for r in requests)


def standard_deviation_of_seconds(sextant):
    """D3: perf_analyzer's sum of squares overflows, from some 18 deviations of a second on."""
    fast_s, slow_s, concurrency, count = 0.1, 2.0, 64, 256
    law = f"bimodal({fast_s * 1000:g}ms, {slow_s * 1000:g}ms, 0.5)"
    truth_us = (slow_s - fast_s) / 2 * 1e6
    load = ["--concurrency-range", concurrency, "--request-count", count]
    with sextant_serve(sextant, simulated(concurrency, service_time=law)) as server:
        print(f"{count} requests, each served in {fast_s} s or {slow_s} s")
        with tempfile.TemporaryDirectory() as folder:
            export = os.path.join(folder, "export.json")
            run = perf_analyzer(
                server, "http", MODEL, *load, "--profile-export-file", export
            ).wait()
            say_peer(run, "avg", "sd")
            if os.path.exists(export):
                print(f"  its own records have a standard deviation of {deviation_of(export):.0f}")
        for protocol in PROTOCOLS:
            options = [*load, "--warmup", 0]
            report = sextant_perf(sextant, server, protocol, MODEL, *options).wait().report()
            say(f"sextant over {protocol}", report, "avg", "sd")
            # Half of the requests are slow, give or take three deviations of a fair coin, which
            # the average shows: (a - fast) (slow - a) is the variance of two values.
            share = (report["avg"] / 1e6 - fast_s) / (slow_s - fast_s)
            near("share of slow requests", share, 0.5, 0, 3 * 0.5 / math.sqrt(count))
            deviation_us = 2 * truth_us * math.sqrt(share * (1 - share))
            near("standard deviation", report["sd"], deviation_us, 0.01)


def one_percent_of_requests_fail(sextant):
    """D4: the first failed request ends perf_analyzer, without a report."""
    truth = {"service_time": "fixed(2ms)", "error_rate": "unavailable: 0.01"}
    count = 4000
    load = ["--concurrency-range", 8, "--request-count", count]
    with sextant_serve(sextant, simulated(8, **truth)) as server:
        for protocol, name in ("http", "HTTP 503"), ("grpc", "gRPC UNAVAILABLE"):
            print(f"{protocol}: 1 % of {count} requests fail")
            run = perf_analyzer(server, protocol, MODEL, *load).wait()
            print(f"  perf_analyzer ends with {run.exit_code}, last words: {last_words(run)}")
            run = sextant_perf(sextant, server, protocol, MODEL, *load).wait()
            report = run.report()
            say("sextant", report, "requests", "failed", "throughput", "p50")
            expect(run.exit_code == 0, f"exit code {run.exit_code}")
            expect(report["requests"] + report["failed"] == count, "not every request is reported")
            deviation = math.sqrt(count * 0.01 * 0.99)
            near("failed requests", report["failed"], count * 0.01, 0, 4 * deviation)
            expect(f"      {name}: {report['failed']:g} (" in run.text, f"no line for '{name}'")
            expect(2000 <= report["p50"] < 8000, "the others' latency is not that of the model")
            run = sextant_perf(
                sextant, server, protocol, MODEL, *load, "--max-error-rate", 0.001
            ).wait()
            expect(run.exit_code == 3, f"--max-error-rate 0.001: exit code {run.exit_code}")


def stall(server, run, seconds, after_inferences):
    """Stops the server in the middle of the run; how long it stood still."""
    begin = server.inferences(MODEL)
    server.wait_for(
        f"{after_inferences} inferences",
        lambda: server.inferences(MODEL) - begin >= after_inferences,
        20,
    )
    stopped = time.monotonic()
    server.pause()
    try:
        while time.monotonic() - stopped < seconds:  # this wait is what is injected
            expect(run.running(), "the load generator ended while the server stood still")
            time.sleep(0.01)
    finally:
        server.resume()
        length = time.monotonic() - stopped
    return length


def stalled_server(sextant):
    """D5: perf_analyzer waits a stall out, drops the windows with it, and reports the others."""
    seconds, window_s = 5, 8
    with sextant_serve(sextant, simulated(40, service_time="fixed(10ms)")) as server:
        print(f"closed loop of 2, the server stands still for {seconds} s")
        run = perf_analyzer(
            server, "http", MODEL, "--concurrency-range", 2, "--measurement-interval", 500
        )
        stall(server, run, seconds, 100)
        run.wait()
        say_peer(run, "requests", "throughput", "avg", "sd", "p99")
        print(f"  it ran for {run.wall_s:.1f} s and ended with {run.exit_code}")
        for protocol in PROTOCOLS:
            retry(lambda: stall_in_closed_loop(sextant, server, protocol, seconds, window_s))
            retry(lambda: stall_in_open_loop(sextant, server, protocol, seconds, window_s))


def expect_gap(run, length):
    """The report says so itself: a reader of the throughput and p99 alone would not know."""
    found = re.search(r"Note: no request succeeded for ([\d.]+) s", run.text)
    expect(found is not None, f"the report does not tell of the stall:\n{run.text}")
    near("longest time without a success", float(found[1]), length, 0.02, 0.3)


def stall_in_closed_loop(sextant, server, protocol, seconds, window_s):
    options = ["--concurrency-range", 2, "--duration", f"{window_s}s", "--warmup", 0]
    run = sextant_perf(sextant, server, protocol, MODEL, *options)
    length = stall(server, run, seconds, 100)
    report = run.wait().report()
    say(f"sextant over {protocol}", report, "requests", "throughput", "avg", "p50", "p99", "max")
    near("max latency", report["max"], length * 1e6, 0.005, 50_000)
    expect_gap(run, length)
    # Two requests always in flight: the throughput is what the average latency leaves.
    near("throughput", report["throughput"], 2e6 / report["avg"], 0.01, 0.3)
    # The rest of the window goes on at the pace of the model, of which a busy machine takes some.
    most = 2 * (window_s - length) / 0.01
    expect(0.5 * most < report["requests"] <= most + 2, f"{most:.0f} requests can have been served")
    expect("State: stable" not in run.text, "a run with a stall must not be called stable")


def stall_in_open_loop(sextant, server, protocol, seconds, window_s):
    rate, capacity, service_s = 100, 4000, 0.01
    options = ["--request-rate-range", rate, "--duration", f"{window_s}s", "--warmup", 0]
    run = sextant_perf(sextant, server, protocol, MODEL, *options)
    length = stall(server, run, seconds, 100)
    report = run.wait().report()
    say(f"sextant over {protocol}, {rate}/s", report, "requests", "avg", "p50", "p90", "p99", "max")
    near("requests", report["requests"], rate * window_s, 0.001)
    near("max latency", report["max"], length * 1e6, 0.005, 50_000)
    expect_gap(run, length)
    # Whoever is due t after the stop waits for its end, and then for those who came before:
    # the latency falls evenly from the stall's length on. So each percentile is known.
    slope = 1 - rate / capacity
    for name, share in ("p50", 0.5), ("p90", 0.1), ("p99", 0.01):
        due_s = share * window_s
        truth_us = (length - slope * due_s + service_s) * 1e6
        near(name, report[name], truth_us, 0.02, 50_000)


def long_run_costs_nothing(sextant):
    """D7: perf_analyzer keeps every request, and looks through them in quadratic time."""
    null = 'backend: "null"\n' + tensors("TYPE_FP32", 16) + instances(1)
    peak = {}
    with sextant_serve(sextant, {MODEL: null}) as server:
        options = ["--async", "--concurrency-range", 16, "--measurement-interval", 2000]
        options += ["--max-trials", 3, "--stability-percentage", 999]
        run = perf_analyzer(server, "http", MODEL, *options).wait(timeout=14)
        ended = "ended" if run.exit_code is not None else "had not ended"
        print(
            f"perf_analyzer, three windows of 2.4 s: {ended} after {run.wall_s:.1f} s, "
            f"{run.peak_rss_mib:.0f} MiB"
        )
        for protocol in PROTOCOLS:
            for window_s in 1, 6:
                options = ["--concurrency-range", 16, "--warmup", "200ms"]
                options += ["--duration", f"{window_s}s"]
                run = sextant_perf(sextant, server, protocol, MODEL, *options).wait()
                report = run.report()
                print(
                    f"sextant over {protocol}, a window of {window_s} s: {report['requests']:.0f} "
                    f"requests, {run.wall_s:.2f} s, {run.peak_rss_mib:.1f} MiB"
                )
                expect(run.wall_s < window_s + 3, "there is work after the window")
                expect(run.peak_rss_mib < 64, "more than 64 MiB of memory")
                peak[window_s] = run.peak_rss_mib
            expect(peak[6] < peak[1] + 4, "memory grows with the number of requests")


def retry(check, attempts=3):
    """The model keeps its declared times only while the machine leaves it a core: a check that
    nothing but a wrong report fails every time has three attempts, all printed."""
    for left in reversed(range(attempts)):
        try:
            return check()
        except Failure as failure:
            if left == 0:
                raise
            print(f"  once more, for {failure}")


def growing_queue(sextant, server, protocol, load, service_ms, count):
    report = sextant_perf(sextant, server, protocol, MODEL, *load, "--warmup", 0).wait().report()
    say(f"sextant over {protocol}", report, "throughput", "avg", "p50", "p99", "max")
    # Four at a time in 100 ms, due every 10 ms: each group of four waits 60 ms more than the group
    # before.
    truth = sorted(service_ms * 1e3 + 60e3 * (i // 4) for i in range(count))
    # All are sent when due, so they wait at the server, which counts that for itself.
    near("avg", report["avg"], report["server"], 0.02, 20e3)
    near("avg", report["avg"], statistics.mean(truth), 0.05)
    near("p50", report["p50"], statistics.median(truth), 0.05)
    near("p99", report["p99"], truth[int(0.99 * count) - 1], 0.05)
    near("max", report["max"], truth[-1], 0.05)


def coordinated_omission(sextant):
    """D9: with few threads, perf_analyzer sends late and counts latency from the late sending."""
    rate, service_ms, count = 100, 100, 200
    load = ["--request-rate-range", rate, "--request-count", count]
    models = simulated(4, service_time=f"fixed({service_ms}ms)")
    with sextant_serve(sextant, models) as server:
        print(f"{rate} requests/s for a server that can do 40/s")
        interval = ["--request-rate-range", rate, "--measurement-interval", 1000]
        run = perf_analyzer(server, "http", MODEL, *interval).wait()
        say_peer(run, "throughput", "avg", "p50", "p99")
        for protocol in PROTOCOLS:
            retry(lambda: growing_queue(sextant, server, protocol, load, service_ms, count))
    models = simulated(16, service_time=f"fixed({service_ms}ms)")
    with sextant_serve(sextant, models) as server:
        print(f"{rate} requests/s for a server that can do 160/s")
        run = perf_analyzer(server, "http", MODEL, *interval).wait()
        say_peer(run, "throughput", "avg", "p50", "p99")
        for protocol in PROTOCOLS:
            options = ["--request-rate-range", rate, "--duration", "3s"]
            report = sextant_perf(sextant, server, protocol, MODEL, *options).wait().report()
            say(f"sextant over {protocol}", report, "throughput", "avg", "p50", "p99")
            near("throughput", report["throughput"], rate, 0.01)
            near("p50", report["p50"], service_ms * 1e3, 0.03)


CASES = {
    "request_count_throughput": request_count_throughput,
    "standard_deviation_of_seconds": standard_deviation_of_seconds,
    "one_percent_of_requests_fail": one_percent_of_requests_fail,
    "stalled_server": stalled_server,
    "long_run_costs_nothing": long_run_costs_nothing,
    "coordinated_omission": coordinated_omission,
}
