"""A model for Triton's Python backend that returns its input, and whose best configuration is known.

An execution of n inferences takes fixed_ms + n * item_ms. Every instance beyond best_instances makes
it longer by the share `crowding`, and a max_batch_size beyond best_batch_size doubles it. It sleeps
for that time, so the machine's cores have no say in it.

What `fault` says befalls the configuration: "refused": it cannot be initialized; "kills_loading":
that ends the server; "kills": its first execution does; "hangs": its executions do not end; "slow":
they take twice as long.
"""

import json
import os
import signal
import time

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        config = json.loads(args["model_config"])
        known = {name: value["string_value"] for name, value in config["parameters"].items()}
        self.fault = known.get("fault", "none")
        if self.fault == "kills_loading":
            os.kill(os.getppid(), signal.SIGKILL)
        if self.fault == "refused":
            raise pb_utils.TritonModelException("this model wants another configuration")
        count = sum(group["count"] for group in config["instance_group"])
        crowding = float(known.get("crowding", 0.6))
        slow_down = 1 + crowding * max(0, count - int(known["best_instances"]))
        if config["max_batch_size"] > int(known["best_batch_size"]):
            slow_down *= 2
        if self.fault == "slow":
            slow_down *= 2
        self.fixed_s = float(known["fixed_ms"]) / 1000 * slow_down
        self.item_s = float(known["item_ms"]) / 1000 * slow_down

    def execute(self, requests):
        if self.fault == "kills":
            os.kill(os.getppid(), signal.SIGKILL)
        if self.fault == "hangs":
            time.sleep(3600)
        inputs = [pb_utils.get_input_tensor_by_name(r, "INPUT").as_numpy() for r in requests]
        time.sleep(self.fixed_s + self.item_s * sum(len(rows) for rows in inputs))
        return [pb_utils.InferenceResponse([pb_utils.Tensor("OUTPUT", rows)]) for rows in inputs]
