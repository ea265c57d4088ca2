"""Cases of gRPC alone: typed contents, unknown methods, compression, malformed messages."""

import grpc
import numpy
from cases_common import f32, i32, samples
from kits import RawGrpc
from tritonclient.grpc import service_pb2 as pb

from harness import case


def typed(type_name, shape, name=None, **contents):
    request = pb.ModelInferRequest(model_name="types")
    tensor = request.inputs.add(name=name or "IN_" + type_name, datatype=type_name, shape=shape)
    for key, values in contents.items():
        getattr(tensor.contents, key).extend(values)
    return request


def infer(k, request, *words):
    raw = RawGrpc(k.server)
    try:
        return raw.call("ModelInfer", request, pb.ModelInferResponse, *words)
    finally:
        raw.close()


def call(k, method, request, response_type=None, *words, **how):
    raw = RawGrpc(k.server)
    try:
        return raw.call(method, request, response_type, *words, **how)
    finally:
        raw.close()


def plain_request(**more):
    request = pb.ModelInferRequest(model_name="plain", **more)
    request.inputs.add(name="X", datatype="FP32", shape=[2, 3])
    request.raw_input_contents.append(f32(2, 3).tobytes())
    return request


@case("grpc")
def every_type_goes_in_as_typed_contents(k):
    return {
        "BOOL": infer(k, typed("BOOL", [2], bool_contents=[True, False])),
        "INT8": infer(k, typed("INT8", [3], int_contents=[-128, 127, 0])),
        "INT16": infer(k, typed("INT16", [2], int_contents=[-32768, 32767])),
        "INT32": infer(k, typed("INT32", [2], int_contents=[-(2**31), 2**31 - 1])),
        "INT64": infer(k, typed("INT64", [2], int64_contents=[-(2**63), 2**63 - 1])),
        "UINT8": infer(k, typed("UINT8", [2], uint_contents=[0, 255])),
        "UINT16": infer(k, typed("UINT16", [2], uint_contents=[0, 65535])),
        "UINT32": infer(k, typed("UINT32", [2], uint_contents=[0, 2**32 - 1])),
        "UINT64": infer(k, typed("UINT64", [2], uint64_contents=[0, 2**64 - 1])),
        "FP32": infer(k, typed("FP32", [2], fp32_contents=[1.5, -2])),
        "FP64": infer(k, typed("FP64", [2], fp64_contents=[1.5, -2])),
        "BYTES": infer(k, typed("BYTES", [3], bytes_contents=[b"a", b"", b"\xff"])),
    }


@case("grpc")
def typed_contents_that_do_not_fit_are_refused(k):
    both = typed("FP32", [1], fp32_contents=[1])
    both.raw_input_contents.append(f32(1).tobytes())
    return {
        "of another type": infer(k, typed("FP32", [1], fp64_contents=[1])),
        "too few": infer(k, typed("FP32", [3], fp32_contents=[1])),
        "too many": infer(k, typed("FP32", [1], fp32_contents=[1, 2])),
        "too few strings": infer(k, typed("BYTES", [3], bytes_contents=[b"a"])),
        "none": infer(k, typed("FP32", [1])),
        "FP16": infer(k, typed("FP16", [1], fp32_contents=[1])),
        "beside raw contents": infer(k, both),
        "beyond INT8": infer(k, typed("INT8", [1], int_contents=[300])),
    }


@case("grpc")
def raw_contents_must_match_the_inputs(k):
    short = plain_request()
    short.raw_input_contents[0] = b"1234"
    more = plain_request()
    more.raw_input_contents.append(b"more")
    none = plain_request()
    del none.raw_input_contents[:]
    pair = pb.ModelInferRequest(model_name="pair")
    pair.inputs.add(name="A", datatype="INT32", shape=[1, 4])
    pair.inputs.add(name="B", datatype="FP32", shape=[1, 1, 2])
    pair.raw_input_contents.append(i32(1, 4).tobytes())
    return {
        "right": infer(k, plain_request()),
        "too short": infer(k, short, "byte size", "'x'"),
        "one too many": infer(k, more),
        "none": infer(k, none),
        "one too few": infer(k, pair),
    }


@case("grpc")
def faulty_tensors_are_refused(k):
    def changed(**fields):
        request = plain_request()
        for key, value in fields.items():
            if key == "shape":
                del request.inputs[0].shape[:]
                request.inputs[0].shape.extend(value)
            else:
                setattr(request.inputs[0], key, value)
        return infer(k, request)

    return {
        "unknown datatype": changed(datatype="FP33"),
        "no datatype": changed(datatype=""),
        "no name": changed(name=""),
        "negative shape": changed(shape=[-2, -3]),
        "huge shape": changed(shape=[2**40, 2**40]),
        "no shape": changed(shape=[]),
    }


@case("grpc")
def parameters_of_the_wrong_kind_are_refused(k):
    def with_parameter(name, **value):
        request = plain_request()
        for key, v in value.items():
            setattr(request.parameters[name], key, v)
        return infer(k, request)

    classes = plain_request()
    classes.outputs.add(name="Y").parameters["classification"].string_param = "two"
    return {
        "priority as text": with_parameter("priority", string_param="high"),
        "negative priority": with_parameter("priority", int64_param=-1),
        "priority as uint64": with_parameter("priority", uint64_param=1),
        "timeout as text": with_parameter("timeout", string_param="soon"),
        "sequence_start as text": with_parameter("sequence_start", string_param="yes"),
        "own, as uint64": with_parameter("mine", uint64_param=7),
        "own, as double": with_parameter("mine", double_param=0.5),
        "classification as text": infer(k, classes),
    }


@case("grpc")
def an_unknown_method_is_unimplemented(k):
    return {
        "method": call(k, "NoSuchMethod", b""),
        "service": call(k, "ModelInfer", b"", path="/no.such.Service/"),
        "lower case": call(k, "modelinfer", b""),
    }


@case("grpc")
def a_message_that_is_none_is_refused(k):
    return {
        "ModelInfer": call(k, "ModelInfer", b"\xff\xff\xff\xff"),
        "ModelMetadata": call(k, "ModelMetadata", b"\x0a\xff\x01"),
    }


@case("grpc")
def requests_may_be_compressed(k):
    return {
        algorithm: k.infer("plain", {"X": f32(2, 3)}, compression_algorithm=algorithm)
        for algorithm in ("gzip", "deflate")
    }


@case("grpc")
def a_large_compressed_request_is_answered(k):
    array = numpy.arange(200_000, dtype=numpy.float32)
    answer = k.infer("types", {"IN_FP32": array}, compression_algorithm="gzip")
    return answer["values"]["OUT_FP32"] == array.tolist()


@case("grpc")
def a_clients_deadline_ends_its_call(k):
    raw = RawGrpc(k.server)
    request = pb.ModelInferRequest(model_name="slow")
    request.inputs.add(name="X", datatype="INT32", shape=[1])
    request.raw_input_contents.append(i32(1).tobytes())
    call = raw.channel.unary_unary(RawGrpc.PATH + "ModelInfer")
    try:
        call(request.SerializeToString(), timeout=0.02)
        return "answered"
    except grpc.RpcError as e:
        return str(e.code())
    finally:
        raw.close()


@case("grpc")
def metadata_of_the_call_is_accepted(k):
    return k.infer("plain", {"X": f32(2, 3)}, headers={"x-mine": "value", "authorization": "none"})


@case("grpc")
def cuda_memory_is_there_in_name_only(k):
    register = pb.CudaSharedMemoryRegisterRequest(name="r", raw_handle=b"", device_id=0, byte_size=1)
    return {
        "status": call(k, "CudaSharedMemoryStatus", b"", pb.CudaSharedMemoryStatusResponse),
        "unregister": call(k, "CudaSharedMemoryUnregister", b"", pb.CudaSharedMemoryUnregisterResponse),
        "register": call(k, "CudaSharedMemoryRegister", register),
    }


@case("grpc")
def trace_and_log_settings(k):
    return {
        "trace": call(k, "TraceSetting", b"", pb.TraceSettingResponse),
        "log": call(k, "LogSettings", b"", pb.LogSettingsResponse),
    }


@case("grpc")
def sequential_calls_share_a_connection(k):
    return [k.infer("plain", {"X": f32(2, 3)}, request_id=str(i))["id"] for i in range(50)]


@case("grpc")
def many_calls_at_once_share_a_connection(k):
    import threading

    count, answers, done = 100, {}, threading.Event()

    def answered(i):
        def take(result, error):
            answers[i] = str(error) if error else result.as_numpy("Y").tolist()
            if len(answers) == count:
                done.set()

        return take

    for i in range(count):
        k.client.async_infer("plain", [k.input("X", f32(2, 3) + i)], answered(i))
    done.wait(20)
    return [answers.get(i) for i in range(count)]
