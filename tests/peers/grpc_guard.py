"""A model behind a token, over gRPC: grpc_guard.py TOKEN.

Whoever lacks the token is told all that he has sent. Prints three ports, on which it answers all,
refuses inferences, and refuses everything; ends with its parent or when it is terminated.
"""

import ctypes
import signal
import sys
from concurrent import futures

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

_PR_SET_PDEATHSIG = 1
METADATA = {"ServerMetadata", "ModelMetadata"}
INFERENCE = {"ModelInfer", "ModelStreamInfer"}


class Guard(service_pb2_grpc.GRPCInferenceServiceServicer):
    def __init__(self, token, refused):
        self.field = ("authorization", f"Bearer {token}")
        self.refused = refused  # names of methods

    def _check(self, method, context):
        sent = context.invocation_metadata()
        if method in self.refused or self.field not in sent:
            text = "; ".join(f"{key}: {value}" for key, value in sent)
            context.abort(grpc.StatusCode.UNAUTHENTICATED, f"who is this? {text}")

    def ServerReady(self, request, context):
        self._check("ServerReady", context)
        return service_pb2.ServerReadyResponse(ready=True)

    def ServerMetadata(self, request, context):
        self._check("ServerMetadata", context)
        return service_pb2.ServerMetadataResponse(name="guard", version="1")

    def ModelMetadata(self, request, context):
        self._check("ModelMetadata", context)
        tensor = service_pb2.ModelMetadataResponse.TensorMetadata
        return service_pb2.ModelMetadataResponse(
            name="m", inputs=[tensor(name="X", datatype="FP32", shape=[2])],
            outputs=[tensor(name="Y", datatype="FP32", shape=[2])])

    @staticmethod
    def _answer(request):
        answer = service_pb2.ModelInferResponse(model_name="m", id=request.id)
        answer.outputs.add(name="Y", datatype="FP32", shape=[2])
        answer.raw_output_contents.append(bytes(8))
        return answer

    def ModelInfer(self, request, context):
        self._check("ModelInfer", context)
        return self._answer(request)

    def ModelStreamInfer(self, requests, context):
        self._check("ModelStreamInfer", context)
        for request in requests:
            yield service_pb2.ModelStreamInferResponse(infer_response=self._answer(request))


def main():
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    servers, ports = [], []
    for refused in set(), INFERENCE, INFERENCE | METADATA:
        server = grpc.server(futures.ThreadPoolExecutor(8))
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Guard(sys.argv[1], refused),
                                                                    server)
        ports.append(server.add_insecure_port("127.0.0.1:0"))
        server.start()
        servers.append(server)
    print(*ports, flush=True)
    servers[0].wait_for_termination()


if __name__ == "__main__":
    main()
