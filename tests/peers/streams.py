"""Streaming, decoupled models, sequences and priorities: what `sextant perf` counts on a real Triton,
whose Python models are in python_models/, and on `sextant serve`.

What is compared are counts, which must be exact: responses of each request, sequences that were
whole. Times are the machine's.
"""

import contextlib
import json
import os
import tempfile

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

MODELS = os.path.join(HERE, "python_models")
DECOUPLED = "model_transaction_policy { decoupled: true }\n"


@contextlib.contextmanager
def data_file(data):
    with tempfile.TemporaryDirectory(prefix="sextant_peers_") as folder:
        path = os.path.join(folder, "data.json")
        with open(path, "w") as file:
            json.dump(data, file)
        yield path


def measure(sextant, server, protocol, model, *options):
    """The only level of a run, from its run file."""
    with tempfile.TemporaryDirectory(prefix="sextant_peers_") as folder:
        path = os.path.join(folder, "run.jsonl")
        run = sextant_perf(sextant, server, protocol, model, "-o", path, *options).wait()
        expect(run.exit_code in (0, 3), f"exit code {run.exit_code}:\n{run.text}")
        with open(path) as file:
            lines = [json.loads(line) for line in file]
    levels = [line for line in lines if line["type"] == "level"]
    expect(len(levels) == 1, f"not one level:\n{run.text}")
    return levels[0], run


def count_of(histogram):
    return sum(histogram["buckets"][1::2])


def outcomes(level):
    return {o["name"]: (o["count"], o["example"]) for o in level["outcomes"]}


def exactly(what, value, truth):
    print(f"  {what}: {value}")
    expect(value == truth, f"{what} is {value} where {truth} is true")


# --- streaming -----------------------------------------------------------------------------------


def check_streaming(sextant, server, model):
    level, _ = measure(
        sextant, server, "grpc", model, "--streaming", "--concurrency-range", 8,
        "--requests", 500, "--warmup", 0,
    )
    exactly("requests answered over streams", level["succeeded"], 500)
    exactly("failed", level["failed"], 0)


def streaming(sextant):
    """A model that is not decoupled answers each request of a stream once."""
    config = tensors("TYPE_FP32", 16) + instances(2)
    python = os.path.join(HERE, "delayed_identity.py")
    print("Triton")
    with real_triton({"m": config + parameters(delay_ms="1")}, python) as server:
        check_streaming(sextant, server, "m")
    print("sextant serve")
    own = 'backend: "simulated"\n' + config + parameters(service_time="fixed(1ms)")
    with sextant_serve(sextant, {"m": own}) as server:
        check_streaming(sextant, server, "m")


# --- decoupled -----------------------------------------------------------------------------------


def check_decoupled(level, requests, per_request):
    exactly("requests that succeeded", level["succeeded"], requests)
    responses = level["responses"]
    exactly("responses", responses["arrived"], requests * per_request)
    exactly("requests with as many each", responses["per_request"]["min"], per_request)
    exactly("and no more", responses["per_request"]["max"], per_request)
    exactly("first responses", count_of(responses["first_ns"]), requests if per_request else 0)
    between = requests * (per_request - 1) if per_request else 0
    exactly("times between", count_of(responses["between_ns"]), between)
    exactly("requests without any", responses["requests_without"], 0 if per_request else requests)


def decoupled(sextant):
    """Every response is counted, whatever their number; none at all is a success."""
    config = tensors("TYPE_INT32", 1) + DECOUPLED + instances(1)
    common = ["--concurrency-range", 4, "--requests", 200, "--warmup", 0]
    print("Triton")
    with real_triton({"repeat": config}, os.path.join(MODELS, "repeat.py")) as server:
        for per_request in 5, 1, 0:
            with data_file({"data": [{"INPUT": [per_request]}]}) as path:
                level, _ = measure(sextant, server, "grpc", "repeat", "--input-data", path, *common)
            check_decoupled(level, 200, per_request)
        with data_file({"data": [{"INPUT": [-1]}, {"INPUT": [2]}]}) as path:
            level, _ = measure(sextant, server, "grpc", "repeat", "--input-data", path, *common)
        exactly("failed ones", outcomes(level)["stream error"], (100, "a negative count"))
        exactly("responses of the others", level["responses"]["arrived"], 200)
        run = sextant_perf(sextant, server, "http", "repeat", "--requests", 1).wait()
        exactly("exit code over HTTP", run.exit_code, 2)
        expect("-i grpc" in run.text, f"the remedy is not named:\n{run.text}")
    print("sextant serve")
    own = 'backend: "simulated"\n' + config
    models = {
        f"repeat{n}": own + parameters(service_time="fixed(1ms)", responses=n) for n in (5, 1, 0)
    }
    with sextant_serve(sextant, models) as server:
        for per_request in 5, 1, 0:
            level, _ = measure(sextant, server, "grpc", f"repeat{per_request}", *common)
            check_decoupled(level, 200, per_request)


# --- priorities ----------------------------------------------------------------------------------


def queue_config(**policy):
    fields = " ".join(f"{k}: {v}" for k, v in policy.items())
    return (
        "max_batch_size: 1\n"
        "dynamic_batching { priority_levels: 2 default_priority_level: 1 "
        f"default_queue_policy {{ {fields} }} }}\n"
    ) + tensors("TYPE_FP32", 16) + instances(1)


def check_priorities(sextant, server, protocol):
    # Two loads share one instance of 5 ms: whoever has the higher priority waits for one service
    # at most, and the other gets what is left.
    def start(priority, concurrency):
        return sextant_perf(
            sextant, server, protocol, "m", "--priority", priority, "--concurrency-range",
            concurrency, "--duration", "1500ms", "--warmup", "500ms",
        )

    low, high = start(2, 8), start(1, 1)
    high, low = high.wait().report(), low.wait().report()
    print(f"  {protocol}: priority 1 p50 {high['p50']:g} us, priority 2 p50 {low['p50']:g} us")
    expect(high["p50"] < 13_000, "the higher priority does not overtake")
    expect(low["p50"] > 4 * high["p50"], "the lower priority does not wait")


def priorities(sextant):
    """Requests of a higher priority overtake those that wait."""
    config = queue_config(max_queue_size=100)
    print("Triton")
    python = os.path.join(HERE, "delayed_identity.py")
    with real_triton({"m": config + parameters(delay_ms="5")}, python) as server:
        for protocol in "http", "grpc":
            check_priorities(sextant, server, protocol)
    print("sextant serve")
    own = 'backend: "simulated"\n' + config + parameters(service_time="fixed(5ms)")
    with sextant_serve(sextant, {"m": own}) as server:
        for protocol in "http", "grpc":
            check_priorities(sextant, server, protocol)


# --- queue policy --------------------------------------------------------------------------------

# Triton 2.51 empties a queue that is under constant load badly: the thread that forms batches misses
# wake-ups and then sleeps half a second, and a request that a full queue refuses does not wake it
# (300 requests/s on a queue of 4 and a model of 10 ms: 8/s are answered, in groups half a second
# apart; tritonclient alone sees the same). So the load here are bursts, far enough apart for all
# such sleeps, and what becomes of a burst does not depend on them.


def burst_config(**policy):
    fields = " ".join(f"{k}: {v}" for k, v in policy.items())
    return (
        f"max_batch_size: 1\ndynamic_batching {{ default_queue_policy {{ {fields} }} }}\n"
        + tensors("TYPE_FP32", 16)
        + instances(1)
    )


BURST, BURST_EVERY_S = 10, 2.6
BURSTS = {
    # One is executed at once, and four wait.
    "full": {
        "config": burst_config(max_queue_size=4),
        "service_ms": 100,
        "answered": 0.5,
        "text": "Exceeds maximum queue size",
    },
    # One is executed at once, one after 0.7 s, or 1.2 s; the next could at 1.4 s, which is too late.
    "late": {
        "config": burst_config(timeout_action="REJECT", default_timeout_microseconds=1_300_000),
        "service_ms": 700,
        "answered": 0.2,
        "text": "Request timeout expired",
    },
}
BURST_COUNT = 3


def check_bursts(sextant, server, protocol, model):
    """The outcome of those that were not answered, and the share of those that were."""
    how = BURSTS[model]
    sent = BURST_COUNT * BURST
    level, run = measure(
        sextant, server, protocol, model, "--request-rate-range", BURST / BURST_EVERY_S,
        "--request-distribution", f"burst:{BURST}", "--requests", sent, "--warmup", 0,
    )
    print(f"  {model} over {protocol}: {outcomes(level)}")
    # A burst that is spread out, by the first one's connections or a busy machine, has one more; one
    # that finds an idle instance not yet awake has one less.
    share = level["succeeded"] / sent
    near("  answered", share, how["answered"], 0, 0.11)
    exactly("  answered or refused", level["succeeded"] + level["failed"], sent)
    ((name, (count, text)),) = outcomes(level).items()
    exactly("  refused with one status", count, level["failed"])
    expect(how["text"] in text, f"{text} instead of {how['text']}")
    return name, share


def queue_policy(sextant):
    """What does not fit into a queue, or waits too long in it, is refused alike by both servers."""
    found = []
    print("Triton")
    models = {m: how["config"] + parameters(delay_ms=how["service_ms"]) for m, how in BURSTS.items()}
    with real_triton(models, os.path.join(MODELS, "caller.py")) as server:
        found.append([check_bursts(sextant, server, p, m) for m in BURSTS for p in ("http", "grpc")])
    print("sextant serve")
    own = {
        m: 'backend: "simulated"\n'
        + how["config"]
        + parameters(service_time=f"fixed({how['service_ms']}ms)")
        for m, how in BURSTS.items()
    }
    with sextant_serve(sextant, own) as server:
        found.append([check_bursts(sextant, server, p, m) for m in BURSTS for p in ("http", "grpc")])
    for (triton_name, triton_share), (our_name, our_share) in zip(*found):
        exactly("the same status", our_name, triton_name)
        near("answered by serve, and by Triton", our_share, triton_share, 0, 0.11)


# --- sequences -----------------------------------------------------------------------------------


def sequence_config(strategy, with_id=True):
    def control(name, kind, values):
        return f'{{ name: "{name}" control [ {{ kind: {kind} {values} }} ] }}'

    flag = "int32_false_true: [ 0, 1 ]"
    controls = [
        control("START", "CONTROL_SEQUENCE_START", flag),
        control("END", "CONTROL_SEQUENCE_END", flag),
        control("READY", "CONTROL_SEQUENCE_READY", flag),
    ]
    if with_id:
        controls.append(control("CORRID", "CONTROL_SEQUENCE_CORRID", "data_type: TYPE_UINT64"))
    return (
        "max_batch_size: 8\n"
        f"sequence_batching {{ {strategy} max_sequence_idle_microseconds: 5000000 "
        f"control_input [ {', '.join(controls)} ] }}\n"
    ) + tensors("TYPE_INT32", 1) + instances(2)


STRATEGIES = {
    "direct": "direct { }",
    "oldest": "oldest { max_candidate_sequences: 16 }",
}


def check_sequences(sextant, server, protocol, model, *options):
    # Each input is 1, so that request k of a sequence is answered by k; the row says which.
    level, run = measure(
        sextant, server, protocol, model, "--concurrency-range", 6, "--requests", 600,
        "--warmup", 0, "--sequence-length", 10, "--sequence-length-variation", 0, *options,
    )
    exactly(f"{model} over {protocol} {' '.join(options)}: answered", level["succeeded"], 600)
    # Sixty sequences of ten; how many of the last six are complete is chance.
    sequences = level["sequences"]
    expect(54 <= sequences["completed"] <= 60, f"{sequences['completed']} sequences of 60")
    exactly("abandoned", sequences["abandoned"], 0)
    exactly("requests of each", [sequences["requests"][k] for k in ("min", "max")], [10, 10])
    expect("Sequence count: " in run.text, f"no sequence count:\n{run.text}")


def each_sequence_server(sextant, models, check):
    """The check against both servers, whose models add up their sequences."""
    print("Triton")
    with real_triton(models, os.path.join(MODELS, "accumulate.py")) as server:
        check(server)
    print("sextant serve")
    own = 'backend: "simulated"\n' + parameters(output="sequence_sum", service_time="fixed(100us)")
    with sextant_serve(sextant, {name: own + config for name, config in models.items()}) as server:
        check(server)


def sequences(sextant):
    """Sequences that are begun, continued and ended as the server wants them, or it would refuse."""
    models = {name: sequence_config(strategy) for name, strategy in STRATEGIES.items()}
    # Triton 2.51 refuses every request of a model that wants its ids as TYPE_STRING ("unexpected
    # number of string elements 2 for inference input 'CORRID'"): ids are text for the scheduler only.
    models["texts"] = sequence_config(STRATEGIES["oldest"], with_id=False)

    def check(server):
        for model in models:
            ids = ["--sequence-id-type", "string"] if model == "texts" else []
            for protocol, *options in ["http"], ["grpc"], ["grpc", "--streaming"]:
                check_sequences(sextant, server, protocol, model, *options, *ids)
        level, _ = measure(
            sextant, server, "grpc", "oldest", "--request-rate-range", 300, "--duration", "1s",
            "--num-of-sequences", 5, "--serial-sequences", "--sequence-length", 10,
        )
        exactly("failed in an open loop", level["failed"], 0)
        near("sequences per second", level["sequences"]["rate_per_s"], 30, 0.2)

    each_sequence_server(sextant, models, check)


STREAMS = [[3, 1, 4, 1, 5, 9, 2], [6], [5, -3, 5, 8]]


def running_sums():
    return [[sum(stream[: i + 1]) for i in range(len(stream))] for stream in STREAMS]


def stream_data(outputs):
    def rows(name, streams):
        return [[{name: [value]} for value in stream] for stream in streams]

    return {"data": rows("INPUT", STREAMS), "validation_data": rows("OUTPUT", outputs)}


def sequence_sums(sextant):
    """What a model answers shows that it saw each sequence whole and in order: its running sums."""
    models = {name: sequence_config(strategy) for name, strategy in STRATEGIES.items()}
    rounds = 40
    requests = rounds * sum(len(stream) for stream in STREAMS)
    wrong = running_sums()
    for stream in wrong:
        stream[-1] += 1

    def run(server, protocol, model, path, concurrency, *options):
        level, _ = measure(
            sextant, server, protocol, model, "--input-data", path, "--warmup", 0,
            "--concurrency-range", concurrency, *options,
        )
        exactly(f"{model} over {protocol} {' '.join(map(str, options))}: failed", level["failed"], 0)
        exactly("  compared", level["checked_outputs"], level["succeeded"])
        return level["wrong_outputs"], level["succeeded"]

    def check(server):
        ways = ["http"], ["grpc"], ["grpc", "--streaming"]
        with data_file(stream_data(running_sums())) as path:
            for protocol, *options in ways:
                for model in models:
                    # More sequences than there are places: some wait until others are over.
                    found = run(server, protocol, model, path, 40, "--duration", "500ms", *options)
                    exactly("  wrong sums", found[0], 0)
                    expect(found[1] > 100, f"only {found[1]} requests")
        with data_file(stream_data(wrong)) as path:
            for protocol, *options in ways:
                # One after the other, so that each sequence is whole when the requests are over.
                found = run(server, protocol, "direct", path, 1, "--requests", requests, *options)
                exactly("  wrong where the data is wrong", found, (rounds * len(STREAMS), requests))

    each_sequence_server(sextant, models, check)


CASES = {
    "streaming": streaming,
    "decoupled": decoupled,
    "priorities": priorities,
    "queue_policy": queue_policy,
    "sequences": sequences,
    "sequence_sums": sequence_sums,
}
