"""A sequence model for Triton's Python backend: the sum of a sequence's inputs so far."""

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        self.sums = {}

    def execute(self, requests):
        responses = []
        for request in requests:

            def control(name):
                return pb_utils.get_input_tensor_by_name(request, name).as_numpy().flatten()[0]

            value = pb_utils.get_input_tensor_by_name(request, "INPUT").as_numpy()
            if pb_utils.get_input_tensor_by_name(request, "CORRID") is None:
                # Without the id only the scheduler's own checks of a sequence are left.
                output = pb_utils.Tensor("OUTPUT", value)
                responses.append(pb_utils.InferenceResponse([output]))
                continue
            sequence = control("CORRID")
            if control("START"):
                self.sums[sequence] = np.zeros_like(value)
            if sequence not in self.sums:
                error = pb_utils.TritonError(f"sequence {sequence} was never begun")
                responses.append(pb_utils.InferenceResponse(error=error))
                continue
            self.sums[sequence] = self.sums[sequence] + value
            output = pb_utils.Tensor("OUTPUT", self.sums[sequence])
            if control("END"):
                del self.sums[sequence]
            responses.append(pb_utils.InferenceResponse([output]))
        return responses
