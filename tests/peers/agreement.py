"""Sextant and perf_analyzer measure the same real Triton in turns, and must agree.

How much two measurements of the same thing may differ is not known beforehand: it follows from how
much each program differs from itself. A cell (model, protocol, concurrency) is measured in rounds,
each one Sextant and then perf_analyzer; the means over the rounds may differ by 3 pooled standard
deviations of the rounds, and 2 %. A cell that differs by more gets more rounds, and nothing that
was measured is left out: chance goes away, a difference stays. Over all cells together, where
chance has little left to say, the paired differences must be within 2 % and 3 standard errors.
A p99 is judged only where a round has enough requests for one (P99_NEEDS): of 40 requests it is the
slowest, and perf_analyzer has a slow one in each run on some machines. It is printed nevertheless.

One difference is real: a request costs perf_analyzer more, threads to wake and tensors to copy,
and that is part of its latency and keeps its throughput down. Triton's own count of a request's time
shows how much: what is left of the average latency, outside the server, is larger with perf_analyzer.
So much, and only in this direction, it may be slower. That it is not Sextant which leaves something
out of its latency is checked without perf_analyzer: at a fixed concurrency, what it says of latency
and what it says of throughput give each other (Little's law), and Triton counts the same inferences.
"""

import math
import statistics
from dataclasses import dataclass, field

from processes import (
    Failure,
    expect,
    instances,
    parameters,
    perf_analyzer,
    real_triton,
    sextant_perf,
    tensors,
    HERE,
)

ROUNDS = 4
MORE_ROUNDS = 8  # in all, where the first do not agree
WINDOW_MS = 250
DURATION_MS = int(3 * 1.2 * WINDOW_MS)  # perf_analyzer: three windows, each 1.2 times as told
DEVIATIONS = 3
SHARE = 0.02
P99_NEEDS = 368  # requests for a distribution-free upper 95 % bound: 0.99^n <= 0.025

CLIENT_FIGURES = ["throughput", "avg", "p50", "p90", "p99"]
OVERALL_FIGURES = ["throughput", "avg", "p50"]
SERVER_FIGURES = ["queue", "infer"]  # parts of the average latency, and judged as such


@dataclass
class Cell:
    data_type: str
    delay_ms: int
    instances: int
    protocol: str
    concurrency: int
    sextant: list = field(default_factory=list)  # a report for each round
    peer: list = field(default_factory=list)

    @property
    def model(self):
        return f"{self.data_type}_{self.delay_ms}ms_x{self.instances}".lower()

    def config(self):
        return (
            tensors("TYPE_" + self.data_type, 16 if self.data_type == "FP32" else 4)
            + instances(self.instances)
            + parameters(delay_ms=self.delay_ms)
        )


CELLS = [
    Cell("FP32", 5, 1, "http", 1),
    Cell("STRING", 20, 1, "http", 2),
    Cell("FP32", 5, 4, "http", 8),
    Cell("STRING", 5, 1, "http", 8),
    Cell("STRING", 20, 2, "grpc", 1),
    Cell("FP32", 5, 2, "grpc", 2),
    Cell("FP32", 20, 4, "grpc", 8),
]


def warm_up(sextant, server, cell):
    """The first requests of each instance take long: they are nobody's."""
    load = ["--concurrency-range", 2 * cell.instances, "--duration", "200ms", "--warmup", "200ms"]
    sextant_perf(sextant, server, cell.protocol, cell.model, *load).wait()


def measure(sextant, server, cell):
    """One round."""
    common = ["--concurrency-range", cell.concurrency]
    if cell.data_type == "STRING":
        common += ["--string-length", 16]
    own = ["--duration", f"{DURATION_MS}ms", "--warmup", "100ms"]
    run = sextant_perf(sextant, server, cell.protocol, cell.model, *common, *own).wait()
    expect(run.exit_code == 0, f"sextant perf ended with {run.exit_code}:\n{run.text}")
    cell.sextant.append(run.report())
    # Any three windows count as stable, so that both programs measure equally long.
    own = ["--measurement-interval", WINDOW_MS, "--stability-percentage", 999]
    run = perf_analyzer(server, cell.protocol, cell.model, *common, *own).wait()
    expect(run.exit_code == 0, f"perf_analyzer ended with {run.exit_code}:\n{run.text}")
    cell.peer.append(run.report())


def mean(reports, figure):
    return statistics.mean(report[figure] for report in reports)


def outside(report):
    """Of the average latency, what passes outside the server."""
    return report["avg"] - report["server"]


def extra_cost(ours, theirs):
    """What a request costs with perf_analyzer more than with Sextant, in microseconds."""
    excess = statistics.mean(map(outside, theirs)) - statistics.mean(map(outside, ours))
    return max(0.0, excess)


def compare(cell, figure):
    """(Sextant's mean, perf_analyzer's mean, allowed difference, whether they agree)."""
    ours, theirs = mean(cell.sextant, figure), mean(cell.peer, figure)
    variances = [statistics.variance(r[figure] for r in side) for side in (cell.sextant, cell.peer)]
    noise = DEVIATIONS * math.sqrt(statistics.mean(variances))
    latency = mean(cell.peer, "avg")
    noise += SHARE * (latency if figure in SERVER_FIGURES else theirs)
    cost = extra_cost(cell.sextant, cell.peer)
    lead = 0.0  # by how much Sextant may be ahead
    if figure == "throughput":
        # Its first window begins with nothing in flight: up to one service time goes by unused.
        lead = theirs * (cost / latency + cell.delay_ms / DURATION_MS)
        return ours, theirs, noise + lead, -noise <= ours - theirs <= noise + lead
    if figure in CLIENT_FIGURES:
        lead = cost
    return ours, theirs, noise + lead, -noise - lead <= ours - theirs <= noise


def judged(cell, figure):
    counts = [report["requests"] for report in cell.sextant + cell.peer]
    return figure != "p99" or min(counts) >= P99_NEEDS


def disagreements(cell):
    figures = [f for f in CLIENT_FIGURES + SERVER_FIGURES if judged(cell, f)]
    return [f for f in figures if not compare(cell, f)[3]]


def print_cell(cell):
    print(
        f"\n{cell.model}, {cell.protocol}, concurrency {cell.concurrency}, "
        f"{len(cell.sextant)} rounds"
    )
    print(f"  {'':<14}{'sextant':>10}{'perf_an.':>10}{'differs':>9}{'allowed':>9}")
    for figure in CLIENT_FIGURES + SERVER_FIGURES:
        ours, theirs, allowed, agree = compare(cell, figure)
        base = mean(cell.peer, "avg") if figure in SERVER_FIGURES else theirs
        verdict = "" if agree else "  <- do not agree"
        if not judged(cell, figure):
            verdict = "  (too few requests)"
        unit = "/s" if figure == "throughput" else "us"
        print(
            f"  {figure + ' ' + unit:<14}{ours:>10.1f}{theirs:>10.1f}"
            f"{(ours - theirs) / base:>+9.1%}{allowed / base:>9.1%}"
            f"{verdict}"
        )
    rest = [statistics.mean(map(outside, side)) for side in (cell.sextant, cell.peer)]
    print(f"  {'outside us':<14}{rest[0]:>10.1f}{rest[1]:>10.1f}")


def inner_faults(cell):
    """Where Sextant's figures do not fit each other."""
    faults = []
    ratios = [r["avg"] * r["throughput"] / (1e6 * cell.concurrency) for r in cell.sextant]
    # What is in flight at the window's edges is in one figure and not in the other.
    allowed = SHARE + cell.concurrency / mean(cell.sextant, "requests")
    allowed += DEVIATIONS * statistics.stdev(ratios) / math.sqrt(len(ratios))
    if abs(statistics.mean(ratios) - 1) > allowed:
        faults.append(f"avg times throughput is {statistics.mean(ratios):.3f} of the concurrency")
    counted, ours = mean(cell.sextant, "inferences"), mean(cell.sextant, "requests")
    if abs(counted - ours) > SHARE * ours + cell.concurrency:
        faults.append(f"{ours:.1f} requests, the server counts {counted:.1f}")
    if statistics.mean(map(outside, cell.sextant)) <= 0:
        faults.append("an average latency below the server's own")
    return faults


def overall(figure):
    """The mean of the paired relative differences over all rounds of all cells, and its error.

    A cell counts with its mean, so that those with more rounds weigh no more."""
    means, variances = [], []
    for cell in CELLS:
        cost = extra_cost(cell.sextant, cell.peer)
        factor = 1 - cost / mean(cell.peer, "avg")
        factor = 1 / factor if figure == "throughput" else factor
        pairs = zip(cell.sextant, cell.peer)
        logs = [math.log(ours[figure] / (theirs[figure] * factor)) for ours, theirs in pairs]
        means.append(statistics.mean(logs))
        variances.append(statistics.variance(logs) / len(logs))
    return statistics.mean(means), math.sqrt(sum(variances)) / len(CELLS)


def triton_agreement(sextant):
    models = {cell.model: cell.config() for cell in CELLS}
    with real_triton(models, f"{HERE}/delayed_identity.py") as server:
        for cell in CELLS:
            warm_up(sextant, server, cell)
            for _ in range(ROUNDS):
                measure(sextant, server, cell)
            while disagreements(cell) and len(cell.sextant) < MORE_ROUNDS:
                measure(sextant, server, cell)
            print_cell(cell)
    faults = []
    for cell in CELLS:
        found = [f"do not agree on {f}" for f in disagreements(cell)] + inner_faults(cell)
        faults += [f"{cell.model} {cell.protocol} {cell.concurrency}: {f}" for f in found]
    print("\nover all cells, perf_analyzer's extra cost taken off")
    for figure in OVERALL_FIGURES:
        difference, error = overall(figure)
        print(f"  {figure:<11} differs {difference:+.2%}, standard error {error:.2%}")
        if abs(difference) > SHARE + DEVIATIONS * error:
            faults.append(f"all cells together do not agree on {figure}")
    if faults:
        raise Failure("Sextant and perf_analyzer:\n  " + "\n  ".join(faults))


CASES = {"triton_agreement": triton_agreement}
