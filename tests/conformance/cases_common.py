"""Cases that hold over HTTP and gRPC alike."""

import threading
import time

import numpy
from kits import NUMPY

from harness import case, refusal

BOTH = ("http", "grpc")
I32 = numpy.int32
F32 = numpy.float32


def f32(*shape):
    return numpy.arange(numpy.prod(shape, dtype=int), dtype=F32).reshape(shape)


def i32(*shape):
    return numpy.arange(numpy.prod(shape, dtype=int), dtype=I32).reshape(shape)


def one():
    return {"X": numpy.array([7], I32)}


def in_parallel(k, count, call, apart=0.0):
    """Runs call(kit, i) in `count` threads, each with a connection of its own; results in order."""
    results = [None] * count

    def run(i):
        own = type(k)(k.server)
        try:
            results[i] = call(own, i)
        finally:
            own.close()

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
        time.sleep(apart)
    for thread in threads:
        thread.join()
    return results


def until(done, look, seconds=10):
    """What `look` gives as soon as `done` holds of it; a case in which that never happens is broken."""
    deadline = time.monotonic() + seconds
    while not done(seen := look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s, but: {seen}")
        time.sleep(0.01)
    return seen


class Work:
    """What a model executes from here on, by its statistics. Triton counts an execution after it has
    answered its requests, and after it has counted those: all is there when `wait` returns."""

    def __init__(self, k, model, version=""):
        self.look = lambda: self.read(k.as_dict(k.client.get_inference_statistics(model, version)))
        self.before = self.look()

    @staticmethod
    def read(answer):
        """Items in all executions, and executions."""
        items = executions = 0
        for entry in answer["model_stats"]:
            for batch in entry.get("batch_stats", []):
                count = int(batch["compute_infer"].get("count", 0))
                items += int(batch["batch_size"]) * count
                executions += count
        return items, executions

    def wait(self, items):
        """Until so many more items are executed; how many executions that took."""
        target = self.before[0] + items
        return until(lambda seen: seen[0] >= target, self.look)[1] - self.before[1]


# Health and metadata


@case(*BOTH)
def the_server_is_live_and_ready(k):
    return {"live": k.client.is_server_live(), "ready": k.client.is_server_ready()}


@case(*BOTH)
def models_are_ready_when_loaded(k):
    return {
        "plain": k.tried(lambda: k.client.is_model_ready("plain")),
        "version": k.tried(lambda: k.client.is_model_ready("versions", "3")),
        "unknown model": k.tried(lambda: k.client.is_model_ready("nosuch")),
        "unknown version": k.tried(lambda: k.client.is_model_ready("plain", "9")),
        "version outside of the policy": k.tried(lambda: k.client.is_model_ready("versions", "7")),
        "not a version": k.tried(lambda: k.client.is_model_ready("plain", "x")),
    }


@case(*BOTH)
def the_server_describes_itself(k):
    answer = k.as_dict(k.client.get_server_metadata())
    return {"fields": sorted(answer), **answer}


@case(*BOTH)
def models_describe_their_tensors(k):
    names = ["types", "plain", "pair", "labels", "decoupled", "versions", "merging"]
    return {name: k.as_dict(k.client.get_model_metadata(name)) for name in names}


@case(*BOTH)
def a_version_describes_itself(k):
    return k.as_dict(k.client.get_model_metadata("versions", "1"))


@case(*BOTH)
def metadata_of_an_unknown_model_is_refused(k):
    return {
        "model": k.refused(lambda: k.client.get_model_metadata("nosuch"), "unknown model", "nosuch"),
        "version": k.refused(
            lambda: k.client.get_model_metadata("plain", "9"), "unknown model", "plain", "version 9"
        ),
        "not a number": k.refused(lambda: k.client.get_model_metadata("plain", "one")),
        "zero": k.refused(lambda: k.client.get_model_metadata("plain", "0")),
        "negative": k.refused(lambda: k.client.get_model_metadata("plain", "-1")),
    }


@case(*BOTH)
def models_give_out_their_configuration(k):
    names = ["types", "plain", "pair", "labels", "merging", "queue_limit", "queue_timeout"]
    names += ["priorities", "slow", "decoupled", "versions", "failing"]
    return {name: k.as_dict(k.client.get_model_config(name)) for name in names}


@case(*BOTH)
def configuration_of_an_unknown_model_is_refused(k):
    return {
        "model": k.refused(lambda: k.client.get_model_config("nosuch"), "unknown model", "nosuch"),
        "version": k.refused(lambda: k.client.get_model_config("plain", "9"), "plain", "9"),
    }


# Statistics


def counts(k, model, version=""):
    """Statistics without times: durations as (count, whether there is any time)."""

    def plain(value, key=""):
        if isinstance(value, dict) and set(value) <= {"count", "ns"}:
            return {"count": int(value.get("count", 0)), "ns > 0": int(value.get("ns", 0)) > 0}
        if isinstance(value, dict):
            return {inner: plain(v, inner) for inner, v in value.items()}
        if isinstance(value, list):
            return [plain(v) for v in value]
        return int(value) if str(value).isdigit() and key != "version" else value

    answer = plain(k.as_dict(k.client.get_inference_statistics(model, version)))
    for entry in answer.get("model_stats", []):
        entry["last_inference"] = entry.get("last_inference", 0) > 1_600_000_000_000
    return answer


@case(*BOTH)
def statistics_start_at_nothing(k):
    k.client.unload_model("counted")
    k.client.load_model("counted")
    return counts(k, "counted")


@case(*BOTH)
def statistics_count_requests_batches_and_failures(k):
    work = Work(k, "counted")
    for _ in range(3):
        k.infer("counted", {"X": i32(1, 1)})
    k.refused(lambda: k.infer("counted", {"X": i32(9, 1)}))
    k.refused(lambda: k.infer("counted", {"X": f32(1, 1)}))
    k.infer("counted", {"X": i32(2, 1)})  # the last, so that what is waited for is behind all
    work.wait(items=5)
    return counts(k, "counted")


@case(*BOTH)
def statistics_count_a_failing_models_failures(k):
    work = Work(k, "failing")
    for _ in range(2):
        k.refused(lambda: k.infer("failing", {"X": i32(1)}))
    work.wait(items=2)
    return counts(k, "failing")


@case(*BOTH)
def statistics_count_what_a_raising_model_did(k):
    work = Work(k, "raising")
    for _ in range(2):
        k.refused(lambda: k.infer("raising", {"X": i32(1)}))
    work.wait(items=2)
    return counts(k, "raising")


@case(*BOTH)
def statistics_can_be_asked_of_a_version_or_of_all_models(k):
    work = Work(k, "versions")
    k.infer("versions", one(), model_version="1")
    work.wait(items=1)
    everything = k.as_dict(k.client.get_inference_statistics())
    return {
        "one": counts(k, "versions", "1"),
        "both": counts(k, "versions"),
        "all": sorted((s["name"], s["version"]) for s in everything["model_stats"]),
    }


@case(*BOTH)
def statistics_of_an_unknown_model_are_refused(k):
    return {
        "model": k.refused(lambda: k.client.get_inference_statistics("nosuch"), "nosuch"),
        "version": k.refused(lambda: k.client.get_inference_statistics("plain", "9"), "plain"),
        "text": k.refused(lambda: k.client.get_inference_statistics("plain", "x")),
    }


# Inference


@case(*BOTH)
def a_request_is_answered(k):
    return k.infer("plain", {"X": f32(2, 3)})


def samples():
    out = {}
    for name, kind in NUMPY.items():
        if name == "BOOL":
            out[name] = numpy.array([True, False, True], kind)
        elif name == "BYTES":
            out[name] = numpy.array([b"plain", b"", "käse €".encode(), b"\x00\x01nul"], kind)
        elif name.startswith("FP"):
            out[name] = numpy.array([0, -0.0, 1.5, -2.25, numpy.finfo(kind).max], kind)
        else:
            info = numpy.iinfo(kind)
            out[name] = numpy.array([info.min, info.max, 0, 1, 77], kind)
    return out


@case(*BOTH)
def every_type_goes_both_ways_as_bytes(k):
    out = {}
    for name, array in samples().items():
        out[name] = k.tried(lambda: k.infer("types", {"IN_" + name: array}, ["OUT_" + name]))
    return out


@case(*BOTH)
def bf16_goes_both_ways_as_bytes(k):
    # The client makes BF16 of FP32.
    tensor = k.input("IN_BF16", numpy.array([1, -2.5, 3e38], F32), "BF16")
    return k.tried(lambda: k.infer("types", [tensor], ["OUT_BF16"]))


@case(*BOTH)
def several_types_in_one_request(k):
    s = samples()
    names = ["FP64", "BYTES", "INT8", "UINT64"]
    return k.infer("types", {"IN_" + n: s[n] for n in names}, ["OUT_" + n for n in names])


@case(*BOTH)
def nan_and_infinities_come_back(k):
    return {
        t: k.infer("types", {"IN_" + t: numpy.array([numpy.nan, numpy.inf, -numpy.inf], NUMPY[t])})
        for t in ("FP16", "FP32", "FP64")
    }


@case(*BOTH)
def bytes_that_are_no_text_come_back_as_bytes(k):
    return k.infer("types", {"IN_BYTES": numpy.array([b"\xff\xfe", b"\x80"], numpy.object_)})


@case(*BOTH)
def an_empty_tensor_is_answered(k):
    return {
        "FP32": k.tried(lambda: k.infer("types", {"IN_FP32": numpy.zeros([0], F32)})),
        "BYTES": k.tried(lambda: k.infer("types", {"IN_BYTES": numpy.zeros([0], numpy.object_)})),
        "in a batch": k.tried(
            lambda: k.infer("pair", {"A": i32(1, 4), "B": numpy.zeros([1, 0, 2], F32)})
        ),
    }


@case(*BOTH)
def a_large_tensor_is_answered(k):
    array = numpy.arange(300_000, dtype=F32)
    answer = k.infer("types", {"IN_FP32": array})
    values = answer.pop("values")["OUT_FP32"]
    return {**answer, "same": values == array.tolist()}


@case(*BOTH)
def only_the_outputs_asked_for_are_answered(k):
    inputs = {"X": f32(1, 5), "Z": i32(1, 3)}
    return {
        "one": k.infer("labels", inputs, ["RANKS"]),
        "both, the other way round": k.infer("labels", inputs, ["RANKS", "SCORES"]),
        "none named": k.infer("labels", inputs),
        "an empty list": k.infer("labels", inputs, []),
    }


@case(*BOTH)
def an_output_asked_for_twice(k):
    inputs = {"X": f32(1, 5), "Z": i32(1, 3)}
    return k.tried(lambda: k.infer("labels", inputs, ["RANKS", "RANKS"]))


@case(*BOTH)
def an_unknown_output_is_refused(k):
    return k.refused(
        lambda: k.infer("plain", {"X": f32(2, 3)}, ["NOSUCH"]),
        "unexpected inference output 'nosuch'",
        "plain",
    )


@case(*BOTH)
def the_request_id_comes_back(k):
    x = {"X": f32(2, 3)}
    return {
        "text": k.infer("plain", x, request_id="id-1"),
        "empty": k.infer("plain", x, request_id=""),
        "not ascii": k.infer("plain", x, request_id="käse"),
        "long": k.infer("plain", x, request_id="x" * 500),
    }


@case(*BOTH)
def request_parameters_are_accepted(k):
    parameters = {"mine": "text", "count": 3, "flag": True}
    return k.infer("plain", {"X": f32(2, 3)}, parameters=parameters)


@case(*BOTH)
def a_double_as_request_parameter(k):
    return k.tried(lambda: k.infer("plain", {"X": f32(2, 3)}, parameters={"share": 0.5}))


@case(*BOTH)
def priority_and_timeout_are_accepted(k):
    x = {"X": f32(2, 3)}
    return {
        "priority without levels": k.infer("plain", x, priority=1),
        "priority 0": k.infer("plain", x, priority=0),
        "timeout": k.infer("plain", x, timeout=1_000_000),
        "level 3": k.infer("priorities", {"X": i32(1, 1)}, priority=3),
        "beyond the levels": k.tried(lambda: k.infer("priorities", {"X": i32(1, 1)}, priority=9)),
    }


@case(*BOTH)
def sequence_parameters_are_accepted_by_a_model_without_sequences(k):
    return k.tried(
        lambda: k.infer(
            "plain", {"X": f32(2, 3)}, sequence_id=5, sequence_start=True, sequence_end=True
        )
    )


@case(*BOTH)
def the_highest_version_answers_unless_one_is_named(k):
    return {
        "default": k.infer("versions", one()),
        "1": k.infer("versions", one(), model_version="1"),
        "3": k.infer("versions", one(), model_version="3"),
        "7, outside of the policy": k.refused(
            lambda: k.infer("versions", one(), model_version="7"), "versions", "version 7"
        ),
        "text": k.refused(lambda: k.infer("versions", one(), model_version="x")),
    }


@case(*BOTH)
def inference_on_an_unknown_model_is_refused(k):
    return {
        "model": k.refused(lambda: k.infer("nosuch", one()), "unknown model", "'nosuch'"),
        "version": k.refused(
            lambda: k.infer("plain", one(), model_version="4"), "unknown model", "plain", "version 4"
        ),
        "not loaded": k.refused(lambda: k.infer("late", one()), "unknown model", "late"),
        "and a faulty input": k.refused(lambda: k.infer("nosuch", {}), "unknown model", "nosuch"),
    }


# Batches and shapes


@case(*BOTH)
def batches_are_answered_up_to_the_limit(k):
    return {n: k.infer("pair", {"A": i32(n, 4), "B": f32(n, 1, 2)}) for n in (1, 2, 4)}


@case(*BOTH)
def a_batch_beyond_the_limit_is_refused(k):
    return k.refused(
        lambda: k.infer("pair", {"A": i32(5, 4), "B": f32(5, 1, 2)}), "batch-size", "<= 4", "pair"
    )


@case(*BOTH)
def a_batch_of_nothing(k):
    return k.refused(lambda: k.infer("pair", {"A": i32(0, 4), "B": f32(0, 1, 2)}))


@case(*BOTH)
def inputs_of_unlike_batch_are_refused(k):
    return k.refused(
        lambda: k.infer("pair", {"A": i32(2, 4), "B": f32(3, 1, 2)}), "batch size", "match", "pair"
    )


@case(*BOTH)
def a_missing_batch_dimension_is_refused(k):
    return {
        "of one input": k.refused(
            lambda: k.infer("counted", {"X": i32(1)}), "unexpected shape", "'x'", "[-1,1]", "[1]"
        ),
        "of two": k.refused(
            lambda: k.infer("pair", {"A": i32(4), "B": f32(1, 2)}), "batch size", "match", "pair"
        ),
    }


@case(*BOTH)
def dynamic_dimensions_take_any_size(k):
    return {n: k.infer("pair", {"A": i32(1, 4), "B": f32(1, n, 2)}) for n in (1, 3, 50)}


@case(*BOTH)
def optional_inputs_may_be_there_or_not(k):
    text = numpy.array([[b"there"]], numpy.object_)
    inputs = {"A": i32(1, 4), "B": f32(1, 1, 2)}
    return {
        "absent": k.infer("pair", inputs),
        "absent, its output named": k.tried(lambda: k.infer("pair", inputs, ["C_OUT"])),
        "there": k.infer("pair", {**inputs, "C": text}),
    }


@case(*BOTH)
def a_wrong_shape_is_refused(k):
    refused = {}
    for label, array in {
        "size": f32(2, 4),
        "rank too low": f32(6),
        "rank too high": f32(1, 2, 3),
        "swapped": f32(3, 2),
    }.items():
        refused[label] = k.refused(
            lambda: k.infer("plain", {"X": array}), "unexpected shape", "'x'", "plain", "[2,3]"
        )
    refused["in a batch"] = k.refused(
        lambda: k.infer("pair", {"A": i32(1, 5), "B": f32(1, 1, 2)}), "unexpected shape", "'a'", "pair"
    )
    return refused


@case(*BOTH)
def the_first_of_several_faults_is_named(k):
    return {
        "batch and shape": k.refused(
            lambda: k.infer("pair", {"A": i32(5, 7), "B": f32(5, 1, 2)}), "batch-size", "<= 4"
        ),
        "type and shape": k.refused(lambda: k.infer("plain", {"X": i32(7)}), "data-type"),
        "unlike batch and type": k.refused(
            lambda: k.infer("pair", {"A": f32(1, 4), "B": f32(2, 1, 2)}), "batch size", "match"
        ),
        "name and output": k.refused(lambda: k.infer("plain", {"W": f32(2, 3)}, ["V"]), "'v'"),
        "shape and output": k.refused(lambda: k.infer("plain", {"X": f32(3)}, ["V"]), "'v'"),
    }


@case(*BOTH)
def a_wrong_type_is_refused(k):
    return {
        "INT32": k.refused(
            lambda: k.infer("plain", {"X": i32(2, 3)}), "data-type", "'int32'", "'fp32'", "'x'"
        ),
        "same size": k.refused(
            lambda: k.infer("plain", {"X": i32(2, 3).astype(numpy.uint32)}), "data-type", "uint32"
        ),
        "BYTES": k.refused(
            lambda: k.infer("plain", {"X": numpy.full([2, 3], b"x", numpy.object_)}), "data-type"
        ),
    }


@case(*BOTH)
def a_wrong_input_name_is_refused(k):
    return k.refused(lambda: k.infer("plain", {"NOSUCH": f32(2, 3)}), "nosuch", "plain")


@case(*BOTH)
def a_missing_input_is_refused(k):
    return {
        "one of two": k.refused(lambda: k.infer("pair", {"A": i32(1, 4)}), "expected", "inputs", "pair"),
        "all": k.refused(lambda: k.infer("plain", {}), "expected", "inputs", "plain"),
    }


@case(*BOTH)
def an_input_too_many_is_refused(k):
    return {
        "unknown": k.refused(
            lambda: k.infer("plain", {"X": f32(2, 3), "W": f32(1)}), "expected", "inputs", "plain"
        ),
        "beside an absent optional one": k.refused(
            lambda: k.infer("pair", {"A": i32(1, 4), "B": f32(1, 1, 2), "W": f32(1, 1)}), "'w'"
        ),
    }


@case(*BOTH)
def an_input_given_twice_is_refused(k):
    twice = lambda: [k.input("X", f32(2, 3)), k.input("X", f32(2, 3))]
    return k.refused(lambda: k.infer("plain", twice()), "x", "already", "request")


@case(*BOTH)
def data_of_the_wrong_size_is_refused(k):
    def sized(model, name, array, claimed):
        tensor = k.input(name, array)
        tensor.set_shape(claimed)
        return k.refused(lambda: k.infer(model, [tensor]), name.lower(), "byte size")

    return {
        "too short": sized("types", "IN_FP32", f32(3), [4]),
        "too long": sized("types", "IN_FP32", f32(5), [4]),
        "none": sized("types", "IN_INT64", numpy.zeros([0], numpy.int64), [2]),
    }


@case(*BOTH)
def bytes_of_the_wrong_count_are_refused(k):
    def counted(elements, claimed):
        tensor = k.input("IN_BYTES", numpy.array(elements, numpy.object_))
        tensor.set_shape([claimed])
        return k.refused(lambda: k.infer("types", [tensor]), "in_bytes")

    return {"too few": counted([b"a", b"b"], 3), "too many": counted([b"a", b"b"], 1)}


# Classification


@case(*BOTH)
def classes_come_with_their_labels(k):
    x = numpy.array([[0.25, 4, -1, 3.5, 0.125]], F32)
    inputs = {"X": x, "Z": i32(1, 3)}
    two = numpy.concatenate([x, -x])
    return {
        "two of five": k.infer("labels", inputs, [k.output("SCORES", class_count=2)]),
        "all of them": k.infer("labels", inputs, [k.output("SCORES", class_count=5)]),
        "more than there are": k.infer("labels", inputs, [k.output("SCORES", class_count=50)]),
        "without labels": k.infer("labels", inputs, [k.output("RANKS", class_count=2)]),
        "in a batch": k.infer(
            "labels", {"X": two, "Z": i32(2, 3)}, [k.output("SCORES", class_count=2), "RANKS"]
        ),
        "count 0": k.infer("labels", inputs, [k.output("SCORES", class_count=0)]),
    }


@case(*BOTH)
def classes_of_every_type(k):
    values = {n: a for n, a in samples().items() if n not in ("BYTES", "BOOL")}
    values["BOOL"] = numpy.array([False, True, False])
    return {
        name: k.tried(
            lambda: k.infer(
                "types", {"IN_" + name: array}, [k.output("OUT_" + name, class_count=2)]
            )
        )
        for name, array in values.items()
    }


@case(
    *BOTH,
    instead_of_triton=(
        "Triton 2.51.0 ends on this request",
        lambda protocol: refusal(
            {"http": 400, "grpc": "StatusCode.INVALID_ARGUMENT"}[protocol],
            "class result not available for output 'OUT_BYTES'",
            ("class result not available", "out_bytes"),
        ),
    ),
)
def classes_of_text_are_refused(k):
    array = numpy.array([b"a", b"b"], numpy.object_)
    return k.refused(
        lambda: k.infer("types", {"IN_BYTES": array}, [k.output("OUT_BYTES", class_count=1)]),
        "class result not available",
        "out_bytes",
    )


@case(*BOTH)
def equal_classes_are_all_there(k):
    x = numpy.array([[1, 1, 1, 0, 0]], F32)
    answer = k.infer("labels", {"X": x, "Z": i32(1, 3)}, [k.output("SCORES", class_count=3)])
    answer["values"]["SCORES"].sort()  # the order of equals is nobody's promise
    return answer


# Failures and decoupled models


@case(*BOTH)
def a_failing_models_error_reaches_the_client(k):
    return {
        "internal": k.refused(lambda: k.infer("failing", one()), "simulated fault: internal"),
        "unavailable": k.refused(lambda: k.infer("refusing", one()), "simulated fault: unavailable"),
    }


@case(*BOTH)
def a_decoupled_model_is_refused_for_a_single_answer(k):
    return k.refused(lambda: k.infer("decoupled", one()), "decoupled")


# Queues


@case(*BOTH)
def concurrent_requests_are_merged_into_batches(k):
    before = k.as_dict(k.client.get_inference_statistics("merging"))["model_stats"][0]
    work = Work(k, "merging")
    answers = in_parallel(k, 8, lambda own, i: own.infer("merging", {"X": f32(1, 3) + i}))
    work.wait(items=8)
    after = k.as_dict(k.client.get_inference_statistics("merging"))["model_stats"][0]

    def grown(key):
        return int(after.get(key, 0)) - int(before.get(key, 0))

    return {
        "answers": [a["values"] for a in answers],
        "inferences": grown("inference_count"),
        "merged": grown("execution_count") < 8,
        "_executions": grown("execution_count"),
    }


@case(*BOTH)
def requests_of_unlike_shape_are_not_merged_wrongly(k):
    answers = in_parallel(k, 6, lambda own, i: own.infer("merging", {"X": f32(1, 2 + i % 2) + i}))
    return [a["values"] for a in answers]


def outcomes(answers):
    """How many answers of each kind, with the words of one refusal."""
    refused = [a for a in answers if "status" in a]
    return {"answered": len(answers) - len(refused), "refused": refused}


@case(*BOTH)
def a_full_queue_refuses(k):
    # One executes, two wait; the others are one too many.
    answers = in_parallel(
        k,
        5,
        lambda own, i: own.refused(lambda: own.infer("queue_limit", {"X": i32(1, 1)}), "exceeds", "queue size")
        if i > 2
        else own.infer("queue_limit", {"X": i32(1, 1)}),
        apart=0.03,
    )
    return outcomes(answers)


@case(*BOTH)
def a_request_that_waits_too_long_is_refused(k):
    answers = in_parallel(
        k,
        2,
        lambda own, i: own.refused(lambda: own.infer("queue_timeout", {"X": i32(1, 1)}), "timeout", "expired")
        if i > 0
        else own.infer("queue_timeout", {"X": i32(1, 1)}),
        apart=0.05,
    )
    return outcomes(answers)


@case(*BOTH)
def a_request_may_ask_for_a_shorter_wait(k):
    def call(own, i):
        if i == 0:
            return own.infer("queue_timeout", {"X": i32(1, 1)})
        begin = time.monotonic()
        answer = own.refused(
            lambda: own.infer("queue_timeout", {"X": i32(1, 1)}, timeout=1000), "timeout", "expired"
        )
        return {**answer, "_seconds": time.monotonic() - begin}

    return outcomes(in_parallel(k, 2, call, apart=0.05))


@case(*BOTH)
def a_higher_priority_goes_first(k):
    # The first keeps the instance busy while the others queue up.
    order = []

    def call(own, i):
        own.infer("priorities", {"X": i32(1, 1)}, priority=[2, 3, 2, 1][i])
        order.append(i)

    in_parallel(k, 4, call, apart=0.03)
    return order
