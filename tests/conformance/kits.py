"""One way to drive either protocol with tritonclient, so that most cases are written once."""

import json

import grpc
import numpy
import tritonclient.grpc
import tritonclient.http
from google.protobuf.json_format import MessageToDict
from tritonclient.grpc import service_pb2 as pb
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from harness import refusal, values_of

NUMPY = {
    "BOOL": numpy.bool_,
    "UINT8": numpy.uint8,
    "UINT16": numpy.uint16,
    "UINT32": numpy.uint32,
    "UINT64": numpy.uint64,
    "INT8": numpy.int8,
    "INT16": numpy.int16,
    "INT32": numpy.int32,
    "INT64": numpy.int64,
    "FP16": numpy.float16,
    "FP32": numpy.float32,
    "FP64": numpy.float64,
    "BYTES": numpy.object_,
}


class Kit:
    """A protocol's client of one server."""

    def __init__(self, server, module, url):
        self.server = server
        self.module = module
        self.client = self.new_client(url)
        self.url = url

    def input(self, name, array, type_name=None, shape=None, **how):
        tensor = self.module.InferInput(
            name, list(shape or array.shape), type_name or np_to_triton_dtype(array.dtype)
        )
        tensor.set_data_from_numpy(array, **how)
        return tensor

    def output(self, name, **how):
        return self.module.InferRequestedOutput(name, **how)

    def infer(self, model, inputs, outputs=None, **more):
        """Inputs: InferInput objects or a dict of arrays. Returns the response, observed."""
        if isinstance(inputs, dict):
            inputs = [self.input(name, array) for name, array in inputs.items()]
        if outputs is not None:
            outputs = [self.output(o) if isinstance(o, str) else o for o in outputs]
        return self.observe(self.client.infer(model, inputs, outputs=outputs, **more))

    def refused(self, call, *words):
        """The error that a call must end with; `words` must occur in its text."""
        try:
            answer = call()
        except InferenceServerException as e:
            return refusal(e.status(), e.message() or "", words)
        return {"accepted": True, "_answer": answer}

    def tried(self, call):
        """The call's result or the status of its error, whichever it is."""
        try:
            return call()
        except InferenceServerException as e:
            return {"status": str(e.status()), "_text": e.message()}


class HttpKit(Kit):
    protocol = "http"

    def __init__(self, server):
        super().__init__(server, tritonclient.http, f"127.0.0.1:{server.http_port}")

    def new_client(self, url):
        return tritonclient.http.InferenceServerClient(url, concurrency=16)

    def input(self, name, array, type_name=None, shape=None, binary_data=True):
        return super().input(name, array, type_name, shape, binary_data=binary_data)

    def observe(self, result):
        response = json.loads(json.dumps(result.get_response()))
        response["values"] = {
            o["name"]: values_of(result.as_numpy(o["name"])) for o in response.get("outputs", [])
        }
        return response

    def as_dict(self, answer):
        return answer

    def close(self):
        self.client.close()


class GrpcKit(Kit):
    protocol = "grpc"

    def __init__(self, server):
        super().__init__(server, tritonclient.grpc, f"127.0.0.1:{server.grpc_port}")

    def new_client(self, url):
        return tritonclient.grpc.InferenceServerClient(url)

    def observe(self, result):
        return observe_proto(result.get_response(), result.as_numpy)

    def as_dict(self, answer):
        return MessageToDict(answer, preserving_proto_field_name=True)

    def close(self):
        self.client.close()


def observe_proto(response, as_numpy):
    out = MessageToDict(response, preserving_proto_field_name=True)
    # The bytes are compared through numpy; of BF16, which it lacks, as they are.
    raw = out.pop("raw_output_contents", [])
    out["raw_count"] = len(raw)
    out["values"] = {}
    for i, output in enumerate(response.outputs):
        if output.datatype == "BF16":
            out["values"][output.name] = response.raw_output_contents[i].hex()
        else:
            out["values"][output.name] = values_of(as_numpy(output.name))
    return out


class RawGrpc:
    """Calls with messages of our own making, where tritonclient would not send them."""

    PATH = "/inference.GRPCInferenceService/"

    def __init__(self, server):
        self.channel = grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}")

    def call(self, method, request, response_type=None, *words, path=None, **how):
        data = request if isinstance(request, bytes) else request.SerializeToString()
        call = self.channel.unary_unary((path or self.PATH) + method)
        try:
            answer = call(data, timeout=20, **how)
        except grpc.RpcError as e:
            return refusal(e.code(), e.details() or "", words)
        if response_type is None:
            return {"answer": answer}
        response = response_type()
        response.ParseFromString(answer)
        if response_type is pb.ModelInferResponse:
            result = tritonclient.grpc.InferResult(response)
            return observe_proto(response, result.as_numpy)
        return MessageToDict(response, preserving_proto_field_name=True)

    def close(self):
        self.channel.close()
