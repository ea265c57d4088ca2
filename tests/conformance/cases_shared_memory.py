"""Cases of system shared memory: regions registered, listed and removed; tensors in regions; faults."""

import contextlib
import json
import os
import time

import numpy
from cases_common import f32, i32
from cases_http import observe_raw, post
from kits import RawGrpc
from tritonclient.grpc import service_pb2 as pb
from tritonclient.utils import InferenceServerException, serialize_byte_tensor, shared_memory

from harness import case

GROUP = "shared_memory"


class Region:
    """A POSIX shared memory object of our own, and its name at the server."""

    def __init__(self, k, name, size):
        self.k, self.name, self.size = k, name, size
        self.key = f"/sextant_conformance_{os.getpid()}_{k.server.label}_{name}"
        self.handle = shared_memory.create_shared_memory_region(name, self.key, size)

    def register(self, size=None, offset=0):
        self.k.client.register_system_shared_memory(self.name, self.key, size or self.size, offset)

    def write(self, array, offset=0):
        shared_memory.set_shared_memory_region(self.handle, [array], offset)

    def read(self, type_name, shape, offset=0):
        array = shared_memory.get_contents_as_numpy(self.handle, type_name, shape, offset)
        return [v.decode() if isinstance(v, bytes) else v for v in array.reshape(-1).tolist()]


def unregister(k, name=""):
    """Removes a region, or all. Triton lets go of a region only some time after it has answered the
    request that used it, and refuses to remove it until then."""
    deadline = time.monotonic() + 5
    while True:
        try:
            return k.client.unregister_system_shared_memory(name)
        except InferenceServerException as error:
            if "Failed to unregister" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


@contextlib.contextmanager
def regions(k, *sizes, register=True):
    """Regions r0, r1, ... of the given sizes; afterwards the server knows of none."""
    made = []
    try:
        for i, size in enumerate(sizes):
            made.append(Region(k, f"r{i}", size))
            if register:
                made[-1].register()
        yield made
    finally:
        unregister(k)
        for region in made:
            shared_memory.destroy_shared_memory_region(region.handle)


def status(k, name=""):
    """What the server says of its regions, without what differs from run to run (the key)."""
    answer = k.as_dict(k.client.get_system_shared_memory_status(name))
    rows = answer if isinstance(answer, list) else list(answer.get("regions", {}).values())
    out = [{**row, "key": row["key"].rsplit("_", 1)[-1]} for row in rows]
    return sorted(out, key=lambda row: row["name"])


def in_region(k, name, array, region, offset=0, size=None, type_name=None, shape=None):
    """The input as a reference to what was written to the region."""
    tensor = k.module.InferInput(name, list(shape or array.shape), type_name or "FP32")
    tensor.set_shared_memory(region, array.nbytes if size is None else size, offset)
    return tensor


def out_region(k, name, region, size, offset=0):
    output = k.module.InferRequestedOutput(name)
    output.set_shared_memory(region, size, offset)
    return output


def where(result):
    """An answer whose outputs lie in shared memory, observed."""
    response = result.get_response()
    if isinstance(response, dict):
        return json.loads(json.dumps(response))
    from google.protobuf.json_format import MessageToDict

    return MessageToDict(response, preserving_proto_field_name=True)


# Registering


@case(GROUP)
def nothing_is_registered_at_first(k):
    return status(k)


@case(GROUP)
def regions_are_listed_until_they_are_removed(k):
    with regions(k, 64, 128) as (first, second):
        out = {"both": status(k), "one": status(k, first.name)}
        unregister(k, first.name)
        out["without the first"] = status(k)
        first.register()
        out["and again"] = [row["name"] for row in status(k)]
        unregister(k)
        out["none"] = status(k)
        return out


@case(GROUP)
def a_region_may_be_a_part_of_its_object(k):
    with regions(k, 8192, register=False) as (region,):
        region.register(size=100, offset=4096)
        return status(k)


@case(GROUP)
def a_region_may_begin_anywhere_in_its_object(k):
    with regions(k, 8192, register=False) as (region,):
        return k.tried(lambda: region.register(size=100, offset=5000))


@case(GROUP)
def a_region_may_not_be_registered_twice(k):
    with regions(k, 64) as (region,):
        return {
            "refused": k.refused(region.register, "r0", "already"),
            "still there": status(k),
        }


@case(GROUP)
def the_status_of_an_unknown_region_is_refused(k):
    return k.refused(lambda: k.client.get_system_shared_memory_status("nosuch"), "nosuch", "find")


@case(GROUP)
def removing_what_is_not_there_is_no_fault(k):
    return {
        "one": repr(k.tried(lambda: k.client.unregister_system_shared_memory("nosuch"))),
        "all": repr(k.tried(lambda: k.client.unregister_system_shared_memory())),
    }


@case(GROUP)
def what_cannot_be_mapped_is_refused(k):
    register = k.client.register_system_shared_memory
    with regions(k, 64, register=False) as (region,):
        return {
            "no such object": k.refused(
                lambda: register("bad", "/sextant_conformance_nosuch", 64), "unable to open", "nosuch"
            ),
            "larger than the object": k.refused(lambda: register("bad", region.key, 1 << 20), "bad"),
            "beyond its end": k.refused(lambda: register("bad", region.key, 64, 1 << 20), "bad"),
            "left over": status(k),
        }


@case(GROUP)
def a_faulty_register_request_is_refused(k):
    if k.protocol == "http":
        path = "/v2/systemsharedmemory/region/bad/register"
        return {
            "no JSON": post(k, path, "{nonsense"),
            "empty": post(k, path, ""),
            "no key": post(k, path, {"byte_size": 8}, "key"),
            "no size": post(k, path, {"key": "/x"}, "byte_size"),
            "size no number": post(k, path, {"key": "/x", "byte_size": "8"}),
            "negative size": post(k, path, {"key": "/x", "byte_size": -8}),
            "negative offset": post(k, path, {"key": "/x", "byte_size": 8, "offset": -8}),
            "unknown action": observe_raw(
                k.server.raw_http("POST", "/v2/systemsharedmemory/region/bad/nosuch", "")
            )["status"],
        }
    raw = RawGrpc(k.server)
    try:
        request = pb.SystemSharedMemoryRegisterRequest(key="/sextant_nosuch", byte_size=8)
        return {
            "no name": raw.call("SystemSharedMemoryRegister", request),
            "no message": raw.call("SystemSharedMemoryRegister", b"\xff\xff"),
        }
    finally:
        raw.close()


# Tensors in regions


@case(GROUP)
def an_input_may_lie_in_a_region(k):
    x = f32(2, 3)
    with regions(k, 64) as (region,):
        region.write(x)
        return k.infer("plain", [in_region(k, "X", x, region.name)])


@case(GROUP)
def an_input_may_lie_at_an_offset(k):
    x = f32(2, 3)
    with regions(k, 64) as (region,):
        region.write(x, 40)
        return k.infer("plain", [in_region(k, "X", x, region.name, 40)])


@case(
    GROUP,
    instead_of_triton=(
        "Triton 2.51.0 adds the region's offset twice and reads past its mapping",
        lambda protocol: [0, 1, 2, 3, 4, 5],
    ),
)
def a_region_within_an_object_begins_at_its_offset(k):
    x = f32(2, 3)
    with regions(k, 8192, register=False) as (region,):
        region.write(x, 4104)
        region.register(size=64, offset=4096)
        answer = k.infer("plain", [in_region(k, "X", x, region.name, 8)])
        return [int(value) for value in answer["values"]["Y"]]


@case(GROUP)
def an_output_may_go_to_a_region(k):
    with regions(k, 64) as (region,):
        result = k.client.infer(
            "plain", [k.input("X", f32(2, 3))], outputs=[out_region(k, "Y", region.name, 24, 8)]
        )
        return {"answer": where(result), "values": region.read(numpy.float32, [2, 3], 8)}


@case(GROUP)
def input_and_output_may_share_a_region(k):
    x = f32(2, 3) + 1
    with regions(k, 64) as (region,):
        region.write(x)
        result = k.client.infer(
            "plain",
            [in_region(k, "X", x, region.name)],
            outputs=[out_region(k, "Y", region.name, 24, 24)],
            request_id="shm",
        )
        return {"answer": where(result), "values": region.read(numpy.float32, [2, 3], 24)}


@case(GROUP)
def a_region_larger_than_the_output_says_how_much_was_written(k):
    with regions(k, 64) as (region,):
        result = k.client.infer(
            "plain", [k.input("X", f32(2, 3))], outputs=[out_region(k, "Y", region.name, 64)]
        )
        return {"answer": where(result), "values": region.read(numpy.float32, [2, 3])}


@case(GROUP)
def only_some_tensors_may_lie_in_regions(k):
    x, z = f32(1, 5), i32(1, 3)
    with regions(k, 64) as (region,):
        region.write(x)
        result = k.client.infer(
            "labels",
            [in_region(k, "X", x, region.name), k.input("Z", z)],
            outputs=[out_region(k, "RANKS", region.name, 12, 32), k.output("SCORES")],
        )
        return {
            "answer": result.as_numpy("SCORES").tolist(),
            "values": region.read(numpy.int32, [1, 3], 32),
        }


@case(GROUP)
def text_goes_through_regions(k):
    texts = numpy.array([b"one", b"", b"three"], numpy.object_)
    with regions(k, 64, 64) as (inside, outside):
        inside.write(serialize_byte_tensor(texts))
        size = sum(4 + len(t) for t in texts)
        tensor = in_region(k, "IN_BYTES", texts, inside.name, 0, size, "BYTES", [3])
        result = k.client.infer(
            "types", [tensor], outputs=[out_region(k, "OUT_BYTES", outside.name, 64)]
        )
        return {"answer": where(result), "values": outside.read(numpy.object_, [3])}


@case(GROUP)
def a_large_tensor_goes_through_regions(k):
    array = numpy.arange(1_000_000, dtype=numpy.float32)
    with regions(k, array.nbytes, array.nbytes) as (inside, outside):
        inside.write(array)
        k.client.infer(
            "types",
            [in_region(k, "IN_FP32", array, inside.name)],
            outputs=[out_region(k, "OUT_FP32", outside.name, array.nbytes)],
        )
        return outside.read(numpy.float32, [array.size]) == array.tolist()


@case(GROUP)
def an_input_that_does_not_lie_in_its_region_is_refused(k):
    x = f32(2, 3)
    with regions(k, 64) as (region,):
        region.write(x)

        def placed(*words, region_name=region.name, **how):
            tensor = in_region(k, "X", x, region_name, **how)
            return k.refused(lambda: k.infer("plain", [tensor]), *words)

        return {
            "unknown region": placed("nosuch", "shared memory region", region_name="nosuch"),
            "beyond the end": placed("r0", "offset", offset=48),
            "far beyond the end": placed("r0", "offset", offset=1 << 40),
            "larger than the region": placed("r0", "size", size=1 << 20),
            "too small for the shape": placed("'x'", "byte size", size=20),
            "too large for the shape": placed("'x'", "byte size", size=28),
            "unknown model": k.refused(
                lambda: k.infer("nosuch", [in_region(k, "X", x, region.name)]), "unknown model"
            ),
        }


@case(GROUP)
def an_output_that_does_not_fit_its_region_is_refused(k):
    with regions(k, 64) as (region,):

        def placed(*words, name=region.name, size=24, offset=0):
            outputs = [out_region(k, "Y", name, size, offset)]
            return k.refused(lambda: k.infer("plain", {"X": f32(2, 3)}, outputs), *words)

        return {
            "unknown region": placed("nosuch", name="nosuch"),
            "too small": placed("'y'", "at least 24 bytes", size=20),
            "beyond the end": placed("r0", "offset", offset=48),
            "larger than the region": placed("r0", "size", size=1 << 20),
        }


@case(GROUP)
def a_removed_region_is_unknown(k):
    x = f32(2, 3)
    with regions(k, 64) as (region,):
        region.write(x)
        before = k.infer("plain", [in_region(k, "X", x, region.name)])["values"]
        unregister(k, region.name)
        return {
            "before": before,
            "afterwards": k.refused(
                lambda: k.infer("plain", [in_region(k, "X", x, region.name)]), "r0"
            ),
        }


@case(GROUP)
def faulty_references_are_refused(k):
    """Parameters that tritonclient would not write."""
    with regions(k, 64):
        if k.protocol == "http":

            def sent(**parameters):
                tensor = {"name": "X", "datatype": "FP32", "shape": [2, 3], "parameters": parameters}
                return post(k, "/v2/models/plain/infer", {"inputs": [tensor]})

            return {
                "no size": sent(shared_memory_region="r0"),
                "region no text": sent(shared_memory_region=5, shared_memory_byte_size=24),
                "size no number": sent(shared_memory_region="r0", shared_memory_byte_size="24"),
                "negative offset": sent(
                    shared_memory_region="r0", shared_memory_byte_size=24, shared_memory_offset=-8
                ),
            }
        raw = RawGrpc(k.server)

        def sent(**parameters):
            request = pb.ModelInferRequest(model_name="plain")
            tensor = request.inputs.add(name="X", datatype="FP32", shape=[2, 3])
            for name, value in parameters.items():
                kind = "string_param" if isinstance(value, str) else "int64_param"
                setattr(tensor.parameters["shared_memory_" + name], kind, value)
            return raw.call("ModelInfer", request, pb.ModelInferResponse)

        try:
            return {
                "no size": sent(region="r0"),
                "region no text": sent(region=5, byte_size=24),
                "size no number": sent(region="r0", byte_size="24"),
                "negative offset": sent(region="r0", byte_size=24, offset=-8),
                "negative size": sent(region="r0", byte_size=-24),
            }
        finally:
            raw.close()
