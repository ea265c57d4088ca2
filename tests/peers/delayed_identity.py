"""A model for Triton's Python backend: waits, then returns its input."""

import json
import time

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        config = json.loads(args["model_config"])
        self.delay_s = float(config["parameters"]["delay_ms"]["string_value"]) / 1000

    def execute(self, requests):
        responses = []
        for request in requests:
            time.sleep(self.delay_s)
            tensor = pb_utils.get_input_tensor_by_name(request, "INPUT")
            output = pb_utils.Tensor("OUTPUT", tensor.as_numpy())
            responses.append(pb_utils.InferenceResponse([output]))
        return responses
