"""A model for Triton's Python backend that waits, asks the models it is told to, one after the other,
and returns what the last of them answered: business logic scripting (BLS)."""

import json
import time

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        values = json.loads(args["model_config"])["parameters"]
        self.delay_s = float(values["delay_ms"]["string_value"]) / 1000
        self.calls = values.get("calls", {"string_value": ""})["string_value"].split()

    def execute(self, requests):
        time.sleep(self.delay_s)  # once for a batch
        return [self.respond(request) for request in requests]

    def respond(self, request):
        value = pb_utils.get_input_tensor_by_name(request, "INPUT").as_numpy()
        for model in self.calls:
            inner = pb_utils.InferenceRequest(
                model_name=model,
                requested_output_names=["OUTPUT"],
                inputs=[pb_utils.Tensor("INPUT", value)],
            ).exec()
            if inner.has_error():
                return pb_utils.InferenceResponse(error=inner.error())
            value = pb_utils.get_output_tensor_by_name(inner, "OUTPUT").as_numpy()
        return pb_utils.InferenceResponse([pb_utils.Tensor("OUTPUT", value)])
