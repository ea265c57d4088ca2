"""Several models under one load against a real Triton, whose own counters are the truth."""

import json
import os
import tempfile

from processes import (
    HERE,
    Run,
    expect,
    instances,
    near,
    parameters,
    real_triton,
    tensors,
    write_rows,
)

LENGTH = 4
ROWS = 4
REQUESTS = 2000


def _models():
    config = "max_batch_size: 8\n" + tensors("TYPE_FP32", LENGTH)
    return {
        "quick": config + instances(4) + parameters(delay_ms=3),
        "slow": config + instances(4) + parameters(delay_ms=15),
    }


def _run(sextant, server, protocol, mix, *options):
    with tempfile.TemporaryDirectory() as folder:
        output = os.path.join(folder, "run.json")
        url = f"127.0.0.1:{server.ports[protocol]}"
        run = Run([sextant, "perf", "--mix", mix, "-i", protocol, "-u", url, "--output", output,
                   *map(str, options)]).wait()  # fmt: skip
        expect(run.exit_code == 0, run.text)
        print(run.text)
        with open(output) as file:
            lines = [json.loads(line) for line in file]
        (level,) = [line for line in lines if line["type"] == "level"]
        return level, {part["model"]["name"]: part for part in level["models"]}


def _p50(part):
    return next(q["value"] for q in part["latency_ns"]["percentiles"] if q["p"] == 0.5)


def several_models(sextant):
    """Each model's requests are those that Triton counted, in their shares, right or wrong."""
    model_file = os.path.join(HERE, "delayed_identity.py")
    with real_triton(_models(), model_file) as server, tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "data.json")
        write_rows(data, ROWS, LENGTH, 1)
        for protocol in "http", "grpc":
            for load in (["--concurrency-range", 4], ["--request-rate-range", 250]):
                before = {name: server.inferences(name) for name in _models()}
                level, parts = _run(
                    sextant, server, protocol, "quick:0.7,slow:0.3", *load, "--requests", REQUESTS,
                    "--warmup", 0, "--seed", 3, "--input-data", f"slow={data}",
                )  # fmt: skip
                what = f"{protocol} {load[0]}"
                expect(level["scheduled"] == REQUESTS, f"{level['scheduled']} requests")
                for name, share in ("quick", 0.7), ("slow", 0.3):
                    part = parts[name]
                    wanted = before[name] + part["succeeded"]
                    # Triton counts a request a moment after it has answered it.
                    server.wait_for(f"{wanted} requests of {name}",
                                    lambda n=name, w=wanted: server.inferences(n) >= w, 5)  # fmt: skip
                    counted = server.inferences(name) - before[name]
                    near(f"{what}: requests of {name}", part["succeeded"], counted, 0)
                    deviation = (REQUESTS * share * (1 - share)) ** 0.5
                    near(f"{what}: {name}'s share", part["scheduled"], REQUESTS * share, 0,
                         5 * deviation)  # fmt: skip
                    near(f"{what}: Triton's statistics of {name}",
                         part["server"][0]["success_count"], counted, 0, 4)  # fmt: skip
                expect(parts["quick"]["checked_outputs"] == 0, "quick has nothing to compare with")
                slow = parts["slow"]
                expect(slow["checked_outputs"] == slow["succeeded"], "an output was not compared")
                wrong = slow["wrong_outputs"] / slow["checked_outputs"]
                near(f"{what}: slow's wrong outputs", wrong, 1 / ROWS, 0, 0.01)
                # A busy machine makes Python's sleeps late, but not one model like the other.
                near(f"{what}: mean latency of slow", slow["latency_ns"]["mean"]["value"],
                     slow["server"][0]["request_us"] * 1e3, 0.1, 2e6)  # fmt: skip
                expect(_p50(slow) >= 15e6, "slow is faster than it can be")
                expect(_p50(parts["quick"]) < 10e6, "quick has taken over the slow one's latency")
        # Each keeps its own in flight.
        _, parts = _run(sextant, server, "grpc", "quick:concurrency=3,slow:concurrency=2",
                        "--duration", "2s", "--warmup", "300ms")  # fmt: skip
        for name, concurrency in ("quick", 3), ("slow", 2):
            near(f"{name} in flight", parts[name]["in_flight_mean"], concurrency, 0.02)


CASES = {"several_models": several_models}
