"""Cases of sequence batching: who belongs to which sequence, in which order, and what is refused.

The models add up what their sequence has sent, so that every answer shows which requests of it the
model has seen before.
"""

import time

import numpy
from cases_common import in_parallel
from cases_stream import with_stream
from kits import RawGrpc
from tritonclient.grpc import service_pb2 as pb

from harness import case

GROUP = "sequence"
MODELS = ("adder_direct", "adder_oldest", "adder_unbatched")
START, END = {"sequence_start": True}, {"sequence_end": True}
BOTH = {**START, **END}
BEGIN = ("must specify the start flag on the first request of the sequence",)


def send(k, model, value, sequence, **how):
    shape = [2] if model == "adder_unbatched" else [1, 2]
    data = numpy.array([value, 10 * value], numpy.int32).reshape(shape)
    return k.infer(model, {"X": data}, sequence_id=sequence, **how)


def sum_of(k, model, value, sequence, **how):
    return send(k, model, value, sequence, **how)["values"]["Y"]


@case(GROUP)
def a_sequence_is_added_up(k):
    return {
        model: [
            send(k, model, 1, 7, **START),
            send(k, model, 2, 7),
            send(k, model, 3, 7),
            send(k, model, 4, 7, **END),
        ]
        for model in MODELS
    }


@case(GROUP)
def sequences_do_not_see_each_other(k):
    out = {}
    for model in MODELS[:2]:
        sums = [sum_of(k, model, i, i, **START) for i in (1, 2, 3)]
        sums += [sum_of(k, model, 10 * i, i) for i in (3, 1, 2)]
        sums += [sum_of(k, model, 100 * i, i, **END) for i in (2, 3, 1)]
        out[model] = sums
    return out


@case(GROUP)
def a_sequence_of_one_request(k):
    return {m: [sum_of(k, m, 5, 9, **BOTH), sum_of(k, m, 6, 9, **BOTH)] for m in MODELS}


@case(GROUP)
def a_sequence_may_be_begun_anew(k):
    return {
        m: [
            sum_of(k, m, 1, 4, **START),
            sum_of(k, m, 2, 4),
            sum_of(k, m, 3, 4, **START),
            sum_of(k, m, 4, 4, **END),
        ]
        for m in MODELS
    }


@case(GROUP)
def a_request_without_a_correlation_id_is_refused(k):
    words = ("must specify a non-zero or non-empty correlation id",)
    return {
        m: {
            "none": k.refused(lambda: k.infer(m, {"X": numpy.zeros(s, numpy.int32)}), *words),
            "0": k.refused(lambda: send(k, m, 1, 0, **START), *words),
        }
        for m, s in zip(MODELS, ([1, 2], [1, 2], [2]))
    }


@case(GROUP)
def a_sequence_that_was_never_begun_is_refused(k):
    out = {}
    for m in MODELS:
        out[m] = {
            "in the middle": k.refused(lambda: send(k, m, 1, 77), "for sequence 77 to model", *BEGIN),
            "at its end": k.refused(lambda: send(k, m, 1, 77, **END), *BEGIN),
            "text": k.refused(lambda: send(k, m, 1, "abc"), "for sequence abc to model", *BEGIN),
        }
        send(k, m, 1, 78, **BOTH)
        out[m]["after its end"] = k.refused(lambda: send(k, m, 1, 78), *BEGIN)
    return out


@case(GROUP)
def a_batch_of_a_sequence_is_refused(k):
    two = {"X": numpy.zeros([2, 2], numpy.int32)}
    return k.refused(
        lambda: k.infer("adder_direct", two, sequence_id=5, **BOTH), "must specify batch-size 1"
    )


@case(GROUP)
def refused_requests_are_no_failures(k):
    def read():
        stats = k.as_dict(k.client.get_inference_statistics("adder_direct"))["model_stats"][0]
        return int(stats["inference_stats"]["fail"].get("count", 0))

    before = read()
    k.refused(lambda: send(k, "adder_direct", 1, 77))
    k.refused(lambda: send(k, "adder_direct", 1, 0))
    return read() - before


@case(GROUP)
def an_idle_sequence_is_over(k):
    out = [sum_of(k, "adder_idle", 1, 5, **START)]
    time.sleep(1.0)  # what is waited for is that nothing happens
    out.append(k.refused(lambda: send(k, "adder_idle", 1, 5), *BEGIN))
    # Its place is free again.
    out.append(sum_of(k, "adder_idle", 3, 6, **BOTH))
    return out


@case(GROUP)
def an_idle_sequence_makes_room_for_one_that_waits(k):
    def call(own, i):
        begin = time.monotonic()
        answer = sum_of(own, "adder_idle", i + 1, 20 + i, **(BOTH if i else START))
        return {"sum": answer, "waited": time.monotonic() - begin > 0.15}

    return in_parallel(k, 2, call, apart=0.05)


@case(GROUP)
def more_sequences_than_places_wait_for_one(k):
    # One place, 50 ms each: the second sequence begins when the first is over.
    order = []

    def call(own, i):
        for step, flags in enumerate((START, {}, END)):
            order.append((i, step, sum_of(own, "adder_slow", 1 + step, 30 + i, **flags)))

    in_parallel(k, 2, call, apart=0.03)
    return order


@case(GROUP)
def requests_of_a_sequence_keep_their_order(k):
    if k.protocol != "grpc":
        return "one connection has one request at a time"

    def use(stream):
        for i in range(6):
            stream.send(
                "adder_slow",
                {"X": numpy.array([[i, 1]], numpy.int32)},
                request_id=str(i),
                sequence_id=40,
                sequence_start=i == 0,
                sequence_end=i == 5,
            )
        return [(a["id"], a["values"]["Y"]) for a in stream.take_all(6)]

    return with_stream(k, use)


@case(GROUP)
def sequences_share_a_batch(k):
    # The model waits until both of its places have something.
    def counts():
        stats = k.as_dict(k.client.get_inference_statistics("adder_pair"))["model_stats"][0]
        return int(stats.get("inference_count", 0)), int(stats.get("execution_count", 0))

    def call(own, i):
        return [sum_of(own, "adder_pair", 1 + i, 50 + i, **f) for f in (START, {}, END)]

    before = counts()
    answers = in_parallel(k, 2, call)
    deadline = time.monotonic() + 10
    while (after := counts())[1] < before[1] + 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    return {"answers": answers, "inferences, executions": [a - b for a, b in zip(after, before)]}


@case(GROUP)
def ids_of_63_bits_are_told_apart(k):
    ids = [2**62 + 1, 2**62 + 2, 2**63 - 1]
    for i, sequence in enumerate(ids):
        send(k, "adder_direct", 1 + i, sequence, **START)
    return [sum_of(k, "adder_direct", 10, sequence, **END) for sequence in ids]


@case(GROUP)
def the_configuration_of_a_sequence_model(k):
    out = {}
    for m in (*MODELS, "adder_pair"):
        answer = k.as_dict(k.client.get_model_config(m))
        out[m] = answer.get("config", answer)["sequence_batching"]
        out[m + " inputs"] = k.as_dict(k.client.get_model_metadata(m))["inputs"]
    return out


@case(GROUP)
def a_control_input_cannot_be_sent(k):
    return k.refused(
        lambda: k.infer(
            "adder_direct",
            {"X": numpy.zeros([1, 2], numpy.int32), "READY": numpy.array([[True]])},
            sequence_id=5,
            **BOTH,
        ),
        "expected",
        "inputs",
    )


@case(GROUP)
def sequence_parameters_of_the_wrong_kind_are_refused(k):
    if k.protocol != "grpc":
        return "tritonclient writes them as they should be"
    raw = RawGrpc(k.server)
    out = {}
    for name, value in (
        ("sequence_id", pb.InferParameter(bool_param=True)),
        ("sequence_start", pb.InferParameter(int64_param=1)),
    ):
        request = pb.ModelInferRequest(model_name="adder_direct")
        request.parameters[name].CopyFrom(value)
        request.inputs.add(name="X", datatype="INT32", shape=[1, 2])
        request.raw_input_contents.append(bytes(8))
        out[name] = raw.call("ModelInfer", request, pb.ModelInferResponse, name)
    raw.close()
    return out
