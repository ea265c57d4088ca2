"""Cases of ModelStreamInfer: many answers on one stream."""

import queue

import numpy
from cases_common import f32, i32, one
from kits import observe_proto

from harness import case, refusal


class Stream:
    """One stream of a client of its own; `take` gives the next response, observed."""

    def __init__(self, k, **how):
        self.kit = type(k)(k.server)
        self.responses = queue.Queue()
        self.kit.client.start_stream(
            callback=lambda result, error: self.responses.put((result, error)), **how
        )

    def send(self, model, inputs, **more):
        tensors = [self.kit.input(name, array) for name, array in inputs.items()]
        self.kit.client.async_stream_infer(model, tensors, **more)

    def take(self, *words, timeout=10):
        result, error = self.responses.get(timeout=timeout)
        if error is not None:
            return refusal(error.status(), error.message() or "", words)
        return observe_proto(result.get_response(), result.as_numpy)

    def take_all(self, count, *words):
        return [self.take(*words) for _ in range(count)]

    def silent(self, seconds=0.15):
        """Whether nothing more arrives."""
        try:
            return {"more": repr(self.responses.get(timeout=seconds))}
        except queue.Empty:
            return True

    def close(self):
        self.kit.client.stop_stream()
        self.kit.close()


def with_stream(k, use, **how):
    stream = Stream(k, **how)
    try:
        return use(stream)
    finally:
        stream.close()


@case("stream")
def a_model_with_one_answer_gives_one(k):
    def use(stream):
        stream.send("plain", {"X": f32(2, 3)}, request_id="a")
        return [stream.take(), stream.silent()]

    return with_stream(k, use)


@case("stream")
def the_final_answer_is_marked_when_asked_for(k):
    def use(stream):
        stream.send("plain", {"X": f32(2, 3)}, enable_empty_final_response=True)
        return [stream.take(), stream.silent()]

    return with_stream(k, use)


@case("stream")
def a_decoupled_model_gives_all_its_answers(k):
    def use(stream):
        stream.send("decoupled", {"X": i32(4)}, request_id="d")
        return [stream.take_all(3), stream.silent()]

    return with_stream(k, use)


@case("stream")
def a_decoupled_model_ends_with_an_empty_answer_when_asked_to(k):
    def use(stream):
        stream.send("decoupled", {"X": i32(4)}, request_id="d", enable_empty_final_response=True)
        return [stream.take_all(4), stream.silent()]

    return with_stream(k, use)


@case("stream")
def a_decoupled_model_may_give_no_answer(k):
    def use(stream):
        stream.send("decoupled_none", {"X": i32(4)}, request_id="quiet")
        quiet = stream.silent()
        stream.send("decoupled_none", {"X": i32(4)}, request_id="e", enable_empty_final_response=True)
        return [quiet, stream.take(), stream.silent()]

    return with_stream(k, use)


@case("stream")
def a_decoupled_models_error_arrives(k):
    def use(stream):
        stream.send("decoupled_failing", {"X": i32(4)})
        return [stream.take("simulated fault: internal"), stream.silent()]

    return with_stream(k, use)


@case("stream")
def a_decoupled_models_error_is_marked_final_when_asked_for(k):
    def use(stream):
        stream.send("decoupled_failing", {"X": i32(4)}, enable_empty_final_response=True)
        return [stream.take("simulated fault: internal"), stream.silent()]

    return with_stream(k, use)


@case("stream")
def errors_leave_the_stream_open(k):
    def use(stream):
        out = {}
        for label, model, inputs, words in [
            ("unknown model", "nosuch", one(), ("unknown model", "nosuch")),
            ("shape", "plain", {"X": f32(3, 3)}, ("unexpected shape", "'x'")),
            ("type", "plain", {"X": i32(2, 3)}, ("data-type", "'x'")),
            ("missing input", "pair", {"A": i32(1, 4)}, ("expected", "inputs")),
            ("batch", "pair", {"A": i32(5, 4), "B": f32(5, 1, 2)}, ("batch-size", "<= 4")),
            ("failing", "failing", one(), ("simulated fault: internal",)),
        ]:
            stream.send(model, inputs, request_id=label)
            out[label] = stream.take(*words)
        stream.send("plain", {"X": f32(2, 3)})
        out["afterwards"] = stream.take()
        return out

    return with_stream(k, use)


@case("stream")
def several_requests_are_in_flight_at_once(k):
    def use(stream):
        for i in range(6):
            stream.send("slow", {"X": numpy.array([i], numpy.int32)}, request_id=str(i))
        answers = stream.take_all(6)
        return sorted((a["id"], a["values"]["Y"]) for a in answers)

    return with_stream(k, use)


@case("stream")
def answers_of_one_instance_come_in_order(k):
    def use(stream):
        for i in range(20):
            stream.send("plain", {"X": f32(2, 3) + i}, request_id=str(i))
        return [a["id"] for a in stream.take_all(20)]

    return with_stream(k, use)


@case("stream")
def decoupled_requests_in_flight_keep_their_ids(k):
    def use(stream):
        for i in range(3):
            stream.send("decoupled", {"X": numpy.array([i], numpy.int32)}, request_id=str(i))
        answers = stream.take_all(9)
        return sorted((a["id"], a["values"]["Y"]) for a in answers)

    return with_stream(k, use)


@case("stream")
def a_compressed_stream_is_answered(k):
    def use(stream):
        stream.send("plain", {"X": f32(2, 3)}, request_id="z")
        return stream.take()

    return with_stream(k, use, compression_algorithm="gzip")


@case("stream")
def requested_outputs_hold_on_a_stream(k):
    def use(stream):
        tensors = [stream.kit.input("A", i32(1, 4)), stream.kit.input("B", f32(1, 1, 2))]
        stream.kit.client.async_stream_infer("pair", tensors, outputs=[stream.kit.output("B_OUT")])
        return stream.take()

    return with_stream(k, use)


@case("stream")
def parameters_and_priorities_hold_on_a_stream(k):
    def use(stream):
        stream.send("plain", {"X": f32(2, 3)}, parameters={"mine": 1}, priority=1, timeout=1_000_000)
        return stream.take()

    return with_stream(k, use)


@case("stream")
def a_stream_stopped_early_leaves_the_server_well(k):
    stream = Stream(k)
    stream.send("slow", one())
    stream.kit.client.stop_stream(cancel_requests=True)
    stream.kit.close()
    return with_stream(k, lambda s: (s.send("plain", {"X": f32(2, 3)}), s.take())[1])


@case("stream")
def a_stream_of_nothing_ends(k):
    return with_stream(k, lambda stream: stream.silent(0.05))


@case("stream")
def decoupled_over_a_single_call_is_refused(k):
    return k.refused(lambda: k.infer("decoupled", one()), "decoupled")


@case("stream")
def statistics_of_a_decoupled_model(k):
    answer = k.as_dict(k.client.get_inference_statistics("decoupled"))["model_stats"][0]
    return {
        key: answer.get(key, "0") for key in ("name", "version", "inference_count", "execution_count")
    }
