"""Cases of ensembles: which steps are executed, what is counted where, and which are refused."""

import time

import numpy
from cases_control import ready, settled
from cases_sequence import BEGIN, END, START
from cases_stream import with_stream
from models import UNFIT

from harness import case

GROUP = "ensemble"


def data(rows=1, of=7):
    return {"IN": numpy.arange(of, of + 2 * rows, dtype=numpy.int32).reshape([rows, 2])}


def counts(k, *models):
    out = {}
    for model in models:
        stats = k.as_dict(k.client.get_inference_statistics(model))["model_stats"][0]
        inference = stats["inference_stats"]
        out[model] = {
            "inferences": int(stats.get("inference_count", 0)),
            "executions": int(stats.get("execution_count", 0)),
            "success": int(inference["success"].get("count", 0)),
            "fail": int(inference["fail"].get("count", 0)),
            "batches": {
                str(b["batch_size"]): int(b["compute_infer"].get("count", 0))
                for b in stats.get("batch_stats", [])
            },
        }
    return out


def growth(before, after):
    if isinstance(after, dict):
        return {key: growth(before.get(key, {}), value) for key, value in after.items()}
    return after - (before or 0)


def counted(k, models, use, executed):
    """What is counted because of `use`, once so many executions of the last model are: Triton counts
    after it has answered."""
    before = counts(k, *models)
    use()
    deadline = time.monotonic() + 10
    while True:
        added = growth(before, counts(k, *models))
        if added[models[-1]]["executions"] >= executed or time.monotonic() > deadline:
            return added
        time.sleep(0.01)


@case(GROUP)
def an_ensemble_is_answered(k):
    out = {name: k.infer(name, data(2)) for name in ("chain", "chain_backwards", "nested")}
    # Several outputs come in an order that is nobody's promise.
    out["fork"] = k.infer("fork", data(2))["values"]
    return out


@case(GROUP)
def the_request_id_comes_back_from_an_ensemble(k):
    return k.infer("chain", data(), request_id="mine")["id"]


@case(GROUP)
def steps_that_need_nothing_of_each_other_run_side_by_side(k):
    begin = time.monotonic()
    answer = k.infer("fork", data())["values"]
    seconds = time.monotonic() - begin
    return {"answer": answer, "side by side": 0.15 <= seconds < 0.24, "_seconds": seconds}


@case(GROUP)
def an_ensemble_and_its_steps_are_counted(k):
    def use():
        k.infer("chain", data())
        k.infer("chain", data(3))
        k.infer("chain", data(3))

    return counted(k, ["chain", "step_a", "step_b"], use, 3)


@case(GROUP)
def only_the_steps_that_the_outputs_need_are_executed(k):
    answers = []
    added = counted(
        k,
        ["fork", "step_slower", "step_slow"],
        lambda: answers.append(k.infer("fork", data(), ["LEFT"])),
        1,
    )
    return {"answer": answers[0], "counted": added}


@case(GROUP)
def the_times_of_an_ensemble_are_those_of_its_steps(k):
    def nanoseconds():
        stats = k.as_dict(k.client.get_inference_statistics("fork"))["model_stats"][0]
        return {
            key: int(stats["inference_stats"][key].get("ns", 0)) / 1e6
            for key in ("success", "queue", "compute_infer")
        }

    before = nanoseconds()
    counted(k, ["fork"], lambda: k.infer("fork", data()), 1)
    added = growth(before, nanoseconds())
    return {
        "total is the longest": 150 <= added["success"] < 240,
        "compute is the sum": 250 <= added["compute_infer"] < 330,
        "no queue": added["queue"] < 10,
        "_ms": added,
    }


@case(GROUP)
def a_failing_step_fails_the_request(k):
    added = {}

    def use():
        added["answer"] = k.refused(
            lambda: k.infer("half_failing", data()),
            "in ensemble 'half_failing', ",
            "simulated fault: unavailable",
        )

    found = counted(k, ["half_failing", "step_a"], use, 1)
    return {**added, "counted": found}


@case(GROUP)
def a_batch_beyond_an_ensembles_limit_is_refused(k):
    return k.refused(lambda: k.infer("chain", data(5)), "batch-size", "<= 4", "'chain'")


@case(GROUP)
def wrong_tensors_are_refused_by_the_ensemble(k):
    return {
        "input": k.refused(lambda: k.infer("chain", {"X": data()["IN"]}), "'x'", "'chain'"),
        "inner tensor": k.refused(lambda: k.infer("chain", data(), ["mid"]), "'mid'", "'chain'"),
        "type": k.refused(
            lambda: k.infer("chain", {"IN": numpy.zeros([1, 2], numpy.float32)}), "data-type"
        ),
        "shape": k.refused(lambda: k.infer("chain", {"IN": numpy.zeros([1, 3], numpy.int32)}), "shape"),
    }


@case(GROUP)
def steps_that_batch_otherwise_get_their_dimension(k):
    return {
        "one item without a batch": k.infer("unbatched", {"IN": data()["IN"][0]}),
        "a batch of one": k.infer("over_unbatched", data()),
        "a batch of three": k.refused(
            lambda: k.infer("over_unbatched", data(3)),
            "in ensemble 'over_unbatched', ",
            "unexpected shape for input 'x' for model 'step_unbatched'",
        ),
    }


@case(GROUP)
def ensembles_describe_themselves(k):
    out = {}
    for name in ("chain", "fork", "unbatched"):
        config = k.as_dict(k.client.get_model_config(name))
        out[name] = [k.as_dict(k.client.get_model_metadata(name)), config.get("config", config)]
    return out


@case(GROUP)
def a_sequence_goes_through_an_ensemble(k):
    def send(value, **how):
        inputs = {"IN": numpy.array([[value, 10 * value]], numpy.int32)}
        return k.infer("adding", inputs, **how)["values"]

    return {
        "sums": [
            send(1, sequence_id=60, **START),
            send(2, sequence_id=60),
            send(3, sequence_id=60, **END),
        ],
        "never begun": k.refused(lambda: send(1, sequence_id=61), "in ensemble 'adding', ", *BEGIN),
    }


@case(GROUP)
def an_ensemble_is_answered_on_a_stream(k):
    if k.protocol != "grpc":
        return "there are no streams"

    def use(stream):
        for i in range(4):
            stream.send("chain", data(of=i), request_id=str(i))
        return [(a["id"], a["values"]) for a in stream.take_all(4)]

    return with_stream(k, use)


@case(GROUP)
def unloading_a_step_takes_its_ensembles_away_until_it_is_back(k):
    names = ("step_alone", "alone", "around_alone")
    out = {"before": ready(k, *names)}
    k.client.unload_model("step_alone")
    out["unloaded"] = settled(k, *names)
    out["refused"] = k.refused(lambda: k.infer("alone", data()), "unknown model", "'alone'")
    k.client.load_model("step_alone")
    out["loaded"] = settled(k, *names)
    out["answer"] = k.infer("around_alone", data())
    return out


@case(GROUP)
def unloading_an_ensemble_leaves_its_steps(k):
    names = ("step_alone", "alone", "around_alone")
    k.client.unload_model("around_alone")
    out = {"outer": settled(k, *names)}
    k.client.load_model("around_alone")
    out["again"] = settled(k, *names)
    return out


@case(GROUP)
def loading_an_ensemble_loads_its_steps(k):
    names = ("step_alone", "alone", "around_alone")
    for name in reversed(names):
        k.client.unload_model(name)
    out = {"none": settled(k, *names)}
    k.client.load_model("around_alone")
    out["all"] = settled(k, *names)
    out["answer"] = k.infer("around_alone", data())
    # What was loaded for it alone goes with it when asked to, and the rest comes back by name.
    k.client.unload_model("around_alone", unload_dependents=True)
    deadline = time.monotonic() + 5
    while any(row["state"] != "UNAVAILABLE" for row in settled(k, *names).values()):
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    out["gone"] = settled(k, *names)
    for name in names:
        k.client.load_model(name)
    out["back"] = settled(k, *names)
    return out


@case(GROUP)
def ensembles_that_do_not_fit_are_refused(k):
    if k.protocol != "http":
        return "Triton says why the first time only"
    return {
        model.name: k.refused(lambda: k.client.load_model(model.name), *([words] if words else []))
        for model, words in UNFIT
    }
