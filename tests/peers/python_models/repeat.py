"""A decoupled model for Triton's Python backend: INPUT[0] times its input, then the end."""

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            tensor = pb_utils.get_input_tensor_by_name(request, "INPUT").as_numpy()
            sender = request.get_response_sender()
            count = int(tensor.flatten()[0])
            if count < 0:
                error = pb_utils.TritonError("a negative count")
                sender.send(
                    pb_utils.InferenceResponse(error=error),
                    flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL,
                )
                continue
            for _ in range(count):
                sender.send(pb_utils.InferenceResponse([pb_utils.Tensor("OUTPUT", tensor)]))
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
        return None
