"""What Triton runs where `sextant serve` runs a simulated model: the same parameters, the same
answers.

Every model of the conformance tests has this file as its version's model.py. Its behaviour is in the
`parameters` of its config.pbtxt, which are those of backend "simulated" (docs/serve.md) as far as
the tests use them: service_time (fixed), output (echo, sequence_sum), error_rate (one kind, always), responses,
response_gap.
"""

import json
import re
import time

import triton_python_backend_utils as pb_utils

def seconds(text):
    value, unit = re.fullmatch(r"(?:fixed\()?(\d+)(us|ms|s)\)?", text).groups()
    return int(value) * {"us": 1e-6, "ms": 1e-3, "s": 1}[unit]


class TritonPythonModel:
    def initialize(self, args):
        self.config = json.loads(args["model_config"])
        parameters = {k: v["string_value"] for k, v in self.config["parameters"].items()}
        self.service = seconds(parameters.get("service_time", "0us"))
        self.responses = int(parameters.get("responses", "1"))
        self.gap = seconds(parameters.get("response_gap", "0us"))
        self.error = parameters.get("error_rate")
        policy = self.config.get("model_transaction_policy", {})
        self.decoupled = policy.get("decoupled", False)
        self.sums = {} if parameters.get("output") == "sequence_sum" else None
        # Output i repeats input i.
        self.pairs = [
            (i["name"], o["name"]) for i, o in zip(self.config["input"], self.config["output"])
        ]

    def respond(self, request):
        if self.error:
            kind = self.error.split(":")[0]
            words = kind.replace("_", " ")
            # Only there once the stub has set the module up, which is after this file was read.
            codes = {
                "internal": pb_utils.TritonError.INTERNAL,
                "unavailable": pb_utils.TritonError.UNAVAILABLE,
                "invalid_argument": pb_utils.TritonError.INVALID_ARG,
            }
            error = pb_utils.TritonError(f"simulated fault: {words}", codes[kind])
            return pb_utils.InferenceResponse(error=error)
        inputs = {tensor.name(): tensor for tensor in request.inputs()}
        wanted = request.requested_output_names()
        outputs = []
        for source, target in self.pairs:
            if source not in inputs or target not in wanted:
                continue
            tensor = inputs[source]
            if any(i["name"] == source and i["data_type"] == "TYPE_BF16" for i in self.config["input"]):
                # numpy has no bfloat16: handed on as it is.
                outputs.append(pb_utils.Tensor.from_dlpack(target, tensor.to_dlpack()))
            elif self.sums is not None:
                outputs.append(pb_utils.Tensor(target, self.add(inputs, source)))
            else:
                outputs.append(pb_utils.Tensor(target, tensor.as_numpy()))
        return pb_utils.InferenceResponse(output_tensors=outputs)

    def add(self, inputs, source):
        """The sum of the sequence's inputs so far, by the control inputs that Triton adds."""
        value = inputs[source].as_numpy()
        control = {n: inputs[n].as_numpy().flatten()[0] for n in ("START", "END", "READY", "CORRID")}
        if not control["READY"]:  # nobody's: a place in the batch that had to be filled
            return value
        before = 0 if control["START"] else self.sums[control["CORRID"]]
        self.sums[control["CORRID"]] = before + value
        return self.sums.pop(control["CORRID"]) if control["END"] else before + value

    def execute(self, requests):
        time.sleep(self.service)
        if self.config["name"] == "raising":
            raise RuntimeError("simulated fault: internal")
        if not self.decoupled:
            return [self.respond(request) for request in requests]
        for request in requests:
            sender = request.get_response_sender()
            final = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
            if self.error:
                sender.send(self.respond(request), flags=final)
                continue
            for i in range(self.responses):
                if i > 0:
                    time.sleep(self.gap)
                sender.send(self.respond(request))
            sender.send(flags=final)
        return None
