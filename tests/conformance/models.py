"""The models of the conformance tests: one table, from which both servers' repositories are made."""

import os
import shutil
from dataclasses import dataclass, field

HERE = os.path.dirname(os.path.abspath(__file__))

TYPES = (
    "BOOL UINT8 UINT16 UINT32 UINT64 INT8 INT16 INT32 INT64 FP16 FP32 FP64 BYTES BF16".split()
)


@dataclass
class Tensor:
    name: str
    type: str
    dims: list
    optional: bool = False
    labels: tuple = ()

    def pbtxt(self, kind):
        type_name = "TYPE_STRING" if self.type == "BYTES" else "TYPE_" + self.type
        more = " optional: true" if self.optional else ""
        if self.labels:
            more += f' label_filename: "{self.name}.txt"'
        return f'{kind} {{ name: "{self.name}" data_type: {type_name} dims: {self.dims}{more} }}\n'


@dataclass
class Model:
    name: str
    inputs: list
    outputs: list
    batch: int = 0
    parameters: dict = field(default_factory=dict)
    versions: tuple = (1,)
    more: str = ""  # further lines of config.pbtxt
    files: bool = True  # False: without a version directory

    def pbtxt(self, backend):
        text = f'name: "{self.name}"\nbackend: "{backend}"\nmax_batch_size: {self.batch}\n'
        text += "".join(t.pbtxt("input") for t in self.inputs)
        text += "".join(t.pbtxt("output") for t in self.outputs)
        parameters = {"output": "echo", "service_time": "0us", **self.parameters}
        for key, value in parameters.items():
            text += f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}\n'
        if "instance_group" not in self.more:
            text += "instance_group { count: 1 kind: KIND_CPU }\n"
        return text + self.more


@dataclass
class Ensemble(Model):
    """Steps: (model, {its input: ensemble tensor}, {its output: ensemble tensor})."""

    steps: tuple = ()

    def pbtxt(self, _):
        def mapping(kind, entries):
            return " ".join(f'{kind} {{ key: "{k}" value: "{v}" }}' for k, v in entries.items())

        text = f'name: "{self.name}"\nplatform: "ensemble"\nmax_batch_size: {self.batch}\n'
        text += "".join(t.pbtxt("input") for t in self.inputs)
        text += "".join(t.pbtxt("output") for t in self.outputs)
        steps = ", ".join(
            f'{{ model_name: "{model}" model_version: -1 {mapping("input_map", inputs)} '
            f'{mapping("output_map", outputs)} }}'
            for model, inputs, outputs in self.steps
        )
        return text + f"ensemble_scheduling {{ step [ {steps} ] }}\n"


def integers(*names):
    return [Tensor(name, "INT32", [2]) for name in names]


def step_model(name, service="0us", batch=4, **how):
    return Model(
        name, integers("X"), integers("Y"), batch=batch, parameters={"service_time": service, **how}
    )


def ensemble(name, *steps, outputs=("OUT",), batch=4):
    return Ensemble(name, integers("IN"), integers(*outputs), batch=batch, steps=steps)


# Ensembles that cannot be loaded, with what is said of them. Nothing where Triton says only that it
# "failed to poll".
UNFIT = [
    (
        ensemble("unfit_model", ("nosuch", {"X": "IN"}, {"Y": "OUT"})),
        "ensemble unfit_model contains models that are not available or ambiguous: nosuch",
    ),
    (
        ensemble("unfit_batch", ("step_a", {"X": "IN"}, {"Y": "OUT"}), batch=9),
        "ensemble unfit_batch allows maximum batch size 9, but it contains model step_a which only "
        "allows maximum batch size to be 4",
    ),
    (
        ensemble("unfit_input", ("step_a", {"W": "IN"}, {"Y": "OUT"})),
        "ensemble tensor in is mapping to non-existing input w in model step_a",
    ),
    (
        ensemble("unfit_output", ("step_a", {"X": "IN"}, {"W": "OUT"})),
        "ensemble tensor out is mapped from non-existing output w in model step_a",
    ),
    (
        ensemble("unfit_type", ("types", {"IN_FP32": "IN"}, {"OUT_FP32": "OUT"}), batch=0),
        "inconsistent data type: type_int32 is inferred from model unfit_type while type_fp32 is "
        "inferred from model types",
    ),
    (
        ensemble("unfit_shape", ("counted", {"X": "IN"}, {"Y": "OUT"})),
        "inconsistent shape: [-1,2] is inferred from model unfit_shape while [-1,1] is inferred from "
        "model counted",
    ),
    (
        ensemble("unfit_itself", ("unfit_itself", {"IN": "IN"}, {"OUT": "OUT"})),
        "circular dependency between ensembles: unfit_itself -> ",
    ),
    (ensemble("unfit_tensor", ("step_a", {"X": "ghost"}, {"Y": "OUT"})), None),
    (ensemble("unfit_result", ("step_a", {"X": "IN"}, {"Y": "elsewhere"})), None),
    (ensemble("unfit_empty"), None),
    (
        ensemble(
            "unfit_cycle",
            ("pair", {"A": "IN", "B": "y"}, {"A_OUT": "OUT", "B_OUT": "x"}),
            ("merging", {"X": "x"}, {"Y": "y"}),
        ),
        None,
    ),
]


def queue_policy(**values):
    inside = " ".join(f"{k}: {v}" for k, v in values.items())
    return f"default_queue_policy {{ {inside} }}"


def sequences(strategy, idle_microseconds=5_000_000):
    """Sequence batching with every kind of control input, each flag of another type."""
    controls = [
        ("START", "CONTROL_SEQUENCE_START", "int32_false_true: [ 0, 1 ]"),
        ("END", "CONTROL_SEQUENCE_END", "fp32_false_true: [ 0, 1 ]"),
        ("READY", "CONTROL_SEQUENCE_READY", "bool_false_true: [ false, true ]"),
        ("CORRID", "CONTROL_SEQUENCE_CORRID", "data_type: TYPE_UINT64"),
    ]
    inputs = ", ".join(
        f'{{ name: "{name}" control [ {{ kind: {kind} {values} }} ] }}' for name, kind, values in controls
    )
    return (
        f"sequence_batching {{ {strategy} max_sequence_idle_microseconds: {idle_microseconds} "
        f"control_input [ {inputs} ] }}\n"
    )


def adder(name, strategy, batch, service="0us", more="", **how):
    """Answers with the sum of what its sequence has sent so far."""
    return Model(
        name,
        [Tensor("X", "INT32", [2])],
        [Tensor("Y", "INT32", [2])],
        batch=batch,
        parameters={"output": "sequence_sum", "service_time": service},
        more=sequences(strategy, **how) + more,
    )


MODELS = {
    m.name: m
    for m in [
        # Every type, each optional, so that a request brings the ones it is about.
        Model(
            "types",
            [Tensor("IN_" + t, t, [-1], optional=True) for t in TYPES],
            [Tensor("OUT_" + t, t, [-1]) for t in TYPES],
        ),
        Model("plain", [Tensor("X", "FP32", [2, 3])], [Tensor("Y", "FP32", [2, 3])]),
        Model(
            "pair",
            [
                Tensor("A", "INT32", [4]),
                Tensor("B", "FP32", [-1, 2]),
                Tensor("C", "BYTES", [1], optional=True),
            ],
            [
                Tensor("A_OUT", "INT32", [4]),
                Tensor("B_OUT", "FP32", [-1, 2]),
                Tensor("C_OUT", "BYTES", [1]),
            ],
            batch=4,
        ),
        Model(
            "labels",
            [Tensor("X", "FP32", [5]), Tensor("Z", "INT32", [3])],
            [
                Tensor("SCORES", "FP32", [5], labels=("ant", "bee", "cat", "dog", "eel")),
                Tensor("RANKS", "INT32", [3]),
            ],
            batch=4,
        ),
        Model(
            "merging",
            [Tensor("X", "FP32", [-1])],
            [Tensor("Y", "FP32", [-1])],
            batch=8,
            parameters={"service_time": "fixed(50ms)"},
            more="dynamic_batching { max_queue_delay_microseconds: 20000 }\n",
        ),
        Model(
            "queue_limit",
            [Tensor("X", "INT32", [1])],
            [Tensor("Y", "INT32", [1])],
            batch=1,
            parameters={"service_time": "fixed(400ms)"},
            more="dynamic_batching { " + queue_policy(max_queue_size=2) + " }\n",
        ),
        Model(
            "queue_timeout",
            [Tensor("X", "INT32", [1])],
            [Tensor("Y", "INT32", [1])],
            batch=1,
            parameters={"service_time": "fixed(400ms)"},
            more="dynamic_batching { "
            + queue_policy(
                timeout_action="REJECT",
                default_timeout_microseconds=50000,
                allow_timeout_override="true",
            )
            + " }\n",
        ),
        Model(
            "priorities",
            [Tensor("X", "INT32", [1])],
            [Tensor("Y", "INT32", [1])],
            batch=1,
            parameters={"service_time": "fixed(300ms)"},
            more="dynamic_batching { priority_levels: 3 default_priority_level: 2 }\n",
        ),
        Model(
            "slow",
            [Tensor("X", "INT32", [1])],
            [Tensor("Y", "INT32", [1])],
            parameters={"service_time": "fixed(100ms)"},
            more="instance_group { count: 2 kind: KIND_CPU }\n",
        ),
        Model(
            "decoupled",
            [Tensor("X", "INT32", [-1])],
            [Tensor("Y", "INT32", [-1])],
            parameters={"responses": "3", "response_gap": "5ms"},
            more="model_transaction_policy { decoupled: true }\n",
        ),
        Model(
            "decoupled_none",
            [Tensor("X", "INT32", [-1])],
            [Tensor("Y", "INT32", [-1])],
            parameters={"responses": "0"},
            more="model_transaction_policy { decoupled: true }\n",
        ),
        Model(
            "decoupled_failing",
            [Tensor("X", "INT32", [-1])],
            [Tensor("Y", "INT32", [-1])],
            parameters={"error_rate": "internal:1"},
            more="model_transaction_policy { decoupled: true }\n",
        ),
        Model(
            "failing",
            [Tensor("X", "INT32", [-1])],
            [Tensor("Y", "INT32", [-1])],
            parameters={"error_rate": "internal:1"},
        ),
        # In Triton this one raises instead of answering with an error (models_triton/model.py).
        Model(
            "raising",
            [Tensor("X", "INT32", [-1])],
            [Tensor("Y", "INT32", [-1])],
            parameters={"error_rate": "internal:1"},
        ),
        Model(
            "refusing",
            [Tensor("X", "INT32", [-1])],
            [Tensor("Y", "INT32", [-1])],
            parameters={"error_rate": "unavailable:1"},
        ),
        Model(
            "versions",
            [Tensor("X", "INT32", [1])],
            [Tensor("Y", "INT32", [1])],
            versions=(1, 3, 7),
            more="version_policy { specific { versions: [1, 3] } }\n",
        ),
        Model("text", [Tensor("X", "BYTES", [1])], [Tensor("Y", "BYTES", [1])], batch=2),
        Model("open", [Tensor("X", "INT16", [2, -1])], [Tensor("Y", "INT16", [2, -1])], batch=2),
        Model("counted", [Tensor("X", "INT32", [1])], [Tensor("Y", "INT32", [1])], batch=4),
        adder("adder_direct", "direct { }", batch=4),
        adder("adder_oldest", "oldest { max_candidate_sequences: 3 }", batch=4),
        adder("adder_unbatched", "direct { }", batch=0),
        adder("adder_idle", "direct { }", batch=1, idle_microseconds=300_000),
        adder("adder_slow", "direct { }", batch=1, service="fixed(50ms)"),
        adder(
            "adder_pair",
            "direct { max_queue_delay_microseconds: 5000000 minimum_slot_utilization: 1.0 }",
            batch=2,
        ),
        step_model("step_a"),
        step_model("step_b"),
        step_model("step_slow", "fixed(100ms)"),
        step_model("step_slower", "fixed(150ms)"),
        step_model("step_failing", error_rate="unavailable:1"),
        step_model("step_unbatched", batch=0),
        step_model("step_alone"),
        ensemble("chain", ("step_a", {"X": "IN"}, {"Y": "mid"}), ("step_b", {"X": "mid"}, {"Y": "OUT"})),
        ensemble(
            "chain_backwards",
            ("step_b", {"X": "mid"}, {"Y": "OUT"}),
            ("step_a", {"X": "IN"}, {"Y": "mid"}),
        ),
        ensemble(
            "fork",
            ("step_slow", {"X": "IN"}, {"Y": "LEFT"}),
            ("step_slower", {"X": "IN"}, {"Y": "RIGHT"}),
            outputs=("LEFT", "RIGHT"),
        ),
        ensemble("nested", ("chain", {"IN": "IN"}, {"OUT": "m"}), ("step_a", {"X": "m"}, {"Y": "OUT"})),
        ensemble(
            "half_failing", ("step_a", {"X": "IN"}, {"Y": "m"}), ("step_failing", {"X": "m"}, {"Y": "OUT"})
        ),
        ensemble("adding", ("adder_direct", {"X": "IN"}, {"Y": "OUT"})),
        ensemble("unbatched", ("step_a", {"X": "IN"}, {"Y": "OUT"}), batch=0),
        ensemble("over_unbatched", ("step_unbatched", {"X": "IN"}, {"Y": "OUT"})),
        ensemble("alone", ("step_alone", {"X": "IN"}, {"Y": "OUT"})),
        ensemble("around_alone", ("alone", {"IN": "IN"}, {"OUT": "OUT"})),
        *(model for model, _ in UNFIT),
        Model("late", [Tensor("X", "INT32", [1])], [Tensor("Y", "INT32", [1])], batch=2),
        Model("broken", [Tensor("X", "INT32", [0])], [Tensor("Y", "INT32", [1])]),
    ]
}


def write_repository(directory, backend, names):
    """Writes the named models for a backend ("simulated" or "python")."""
    for name in names:
        model = MODELS[name]
        root = os.path.join(directory, name)
        for version in model.versions:
            version_directory = os.path.join(root, str(version))
            os.makedirs(version_directory)
            if backend == "python":
                shutil.copy(os.path.join(HERE, "models_triton", "model.py"), version_directory)
        with open(os.path.join(root, "config.pbtxt"), "w") as out:
            out.write(model.pbtxt(backend))
        for tensor in model.outputs:
            if tensor.labels:
                with open(os.path.join(root, tensor.name + ".txt"), "w") as out:
                    out.write("\n".join(tensor.labels) + "\n")
