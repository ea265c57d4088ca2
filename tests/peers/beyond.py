"""Shared memory and metrics against a real Triton."""

import json
import os
import tempfile

from processes import (
    HERE,
    ensemble_of,
    expect,
    instances,
    near,
    parameters,
    real_triton,
    sextant_perf,
    sextant_serve,
    tensors,
    write_rows,
)

MODEL = "identity"
ROWS = 4
LENGTH = 16


def identity(delay_ms):
    config = "max_batch_size: 8\n" + tensors("TYPE_FP32", LENGTH)
    return {MODEL: config + instances(2) + parameters(delay_ms=delay_ms)}


def triton(delay_ms=1):
    return real_triton(identity(delay_ms), os.path.join(HERE, "delayed_identity.py"))


def run_levels(path):
    with open(path) as file:
        lines = [json.loads(line) for line in file]
    return [line for line in lines if line["type"] == "level"]


def regions(server):
    status, body = server.get("/v2/systemsharedmemory/status")
    expect(status == 200, f"the regions: HTTP {status}")
    return [region["name"] for region in json.loads(body)]


def shared_memory(sextant):
    """D19: regions of one's own, outputs read from them, and others' left alone."""
    with triton() as server, tempfile.TemporaryDirectory() as folder:
        data, output = os.path.join(folder, "data.json"), os.path.join(folder, "run.json")
        options = ["--shared-memory", "system", "--shared-memory-required"]
        options += ["--concurrency-range", 4, "--input-data", data, "--output", output]
        for protocol in "http", "grpc":
            for wrong in 0, 1:
                write_rows(data, ROWS, LENGTH, wrong)
                run = sextant_perf(
                    sextant, server, protocol, MODEL, *options, "-b", "1,3", "--requests", 200
                ).wait()
                expect(run.exit_code == 0, run.text)
                for level in run_levels(output):
                    expect(level["succeeded"] == 200, run.text)
                    share = level["wrong_outputs"] / level["checked_outputs"]
                    near(f"{protocol}: share of wrong outputs", share, wrong / ROWS, 0, 0.1 * wrong)
                expect(regions(server) == [], f"left behind: {regions(server)}")
            # One comes and goes while another is at work.
            write_rows(data, ROWS, LENGTH, 0)
            longer = sextant_perf(
                sextant, server, protocol, MODEL, *options, "--duration", "90s", "--warmup", 0
            )
            server.wait_for("region", lambda: len(regions(server)) == 2, 20)
            shorter = sextant_perf(
                sextant, server, protocol, MODEL, *options[:-2], "--duration", "200ms"
            ).wait()
            expect(shorter.exit_code == 0 and "Failed:" not in shorter.text, shorter.text)
            expect(len(regions(server)) == 2, "the longer run's regions are gone")
            longer.interrupt()
            longer.wait()
            expect(longer.exit_code == 130 and "Failed:" not in longer.text, longer.text)
            expect(regions(server) == [], f"left behind: {regions(server)}")


def metrics(sextant):
    """Triton's own counters over exactly the window, and its CPU figures."""
    with triton(delay_ms=5) as server, tempfile.TemporaryDirectory() as folder:
        output = os.path.join(folder, "run.json")
        run = sextant_perf(
            sextant, server, "grpc", MODEL, "--concurrency-range", 2, "--duration", "2300ms",
            "--collect-metrics", "--metrics-url", f"127.0.0.1:{server.ports['metrics']}/metrics",
            "--metric", "nv_inference_count", "--metric", "nv_inference_pending_request_count",
            "--output", output,
        ).wait()  # fmt: skip
        expect(run.exit_code == 0, run.text)
        level = run_levels(output)[0]
        found = {m["quantity"]: m for m in level["metrics"]}
        near(
            "inferences in the window by the metric",
            found["nv_inference_count"]["increase"],
            level["completed"],
            0.01,
            4,
        )
        expect(found["nv_inference_count"]["labels"] == '{model="identity",version="1"}', run.text)
        near("the window", found["nv_inference_count"]["span_s"], level["window_s"], 0.05)
        expect(0 <= found["cpu_utilization"]["mean"] <= 1, run.text)
        expect(found["memory_used"]["max"] < found["memory_total"]["max"], run.text)
        expect("gpu_utilization" not in found, "there is no GPU here: missing is not zero")
        print(run.text)


ENSEMBLE = ensemble_of("first", "second", LENGTH)


def check_composing(sextant, server, protocol, model, composing, *options, requests=100):
    """The server's figures of the model, and apart from them those of the models in `composing`."""
    with tempfile.TemporaryDirectory() as folder:
        output = os.path.join(folder, "run.json")
        run = sextant_perf(
            sextant, server, protocol, model, "--requests", requests, "--output", output, *options
        ).wait()
        expect(run.exit_code == 0, run.text)
        level = run_levels(output)[0]
    expect([s["model"] for s in level["server"]] == [model], run.text)
    # Triton counts a request after it has answered it.
    near(f"{protocol}: requests of {model}", level["server"][0]["success_count"], requests, 0, 1)
    found = {s["model"]: s for s in level["composing"]}
    expect(sorted(found) == sorted(composing), f"{sorted(found)}:\n{run.text}")
    for name, delay_ms in composing.items():
        expect(f"{name}, version 1:" in run.text, run.text)
        near(f"{protocol}: requests of {name}", found[name]["success_count"], requests, 0, 1)
        compute = found[name]["compute_infer_us"]
        near(f"{protocol}: compute of {name}", compute, delay_ms * 1000, 0.2, 1200)
    expect("others use the model too" not in run.text, run.text)


def ensemble(sextant):
    """Each step of an ensemble has its own server-side figures, on Triton and on serve alike."""
    config = tensors("TYPE_FP32", LENGTH) + instances(1)
    delays = {"first": 3, "second": 7}

    def check(server):
        for protocol in "http", "grpc":
            check_composing(sextant, server, protocol, "both", delays)

    print("Triton")
    models = {name: config + parameters(delay_ms=ms) for name, ms in delays.items()}
    with real_triton(
        {**models, "both": ENSEMBLE}, os.path.join(HERE, "delayed_identity.py")
    ) as server:
        check(server)
    print("sextant serve")
    own = 'backend: "simulated"\n' + config
    models = {n: own + parameters(service_time=f"fixed({ms}ms)") for n, ms in delays.items()}
    with sextant_serve(sextant, {**models, "both": ENSEMBLE}) as server:
        check(server)


def bls(sextant):
    """A model that calls others itself (BLS): these are named, since no configuration has them."""
    config = tensors("TYPE_FP32", LENGTH) + instances(1)
    models = {name: config + parameters(delay_ms=ms) for name, ms in (("first", 3), ("second", 7))}
    models["caller"] = config + parameters(delay_ms=0, calls="first second")
    with real_triton(models, os.path.join(HERE, "python_models", "caller.py")) as server:
        for protocol in "http", "grpc":
            check_composing(
                sextant, server, protocol, "caller", {"first": 3, "second": 7},
                "--bls-composing-models", "first,second",
            )  # fmt: skip


def trace_settings(sextant):
    """Set for the model while the run lasts, and put back, also when it is interrupted."""

    def settings(path=f"/v2/models/{MODEL}"):
        status, body = server.get(path + "/trace/setting")
        expect(status == 200, f"trace settings: HTTP {status} {body}")
        return json.loads(body)

    with tempfile.TemporaryDirectory() as folder:
        trace = ["--trace-config", f"triton,file={folder}/trace", "--trace-config", "level=OFF"]
        model = os.path.join(HERE, "delayed_identity.py")
        with real_triton(identity(1), model, trace) as server:
            before, before_all = settings(), settings("/v2")
            for protocol in "http", "grpc":
                run = sextant_perf(
                    sextant, server, protocol, MODEL, "--duration", "60s", "--trace-level",
                    "TIMESTAMPS", "--trace-rate", 7, "--trace-count", 5, "--log-frequency", 3,
                )  # fmt: skip
                server.wait_for("change", lambda: settings()["trace_level"] == ["TIMESTAMPS"], 20)
                now = settings()
                expect(now["trace_rate"] == "7" and now["log_frequency"] == "3", f"{now}")
                expect(settings("/v2") == before_all, "the server's own settings have changed")
                run.interrupt()
                run.wait()
                expect(run.exit_code == 130, run.text)
                expect(settings() == before, f"{settings()} instead of {before}")


CASES = {"trace_settings": trace_settings, "ensemble": ensemble, "bls": bls, "shared_memory": shared_memory, "metrics": metrics}
