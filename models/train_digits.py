#!/usr/bin/env python3
"""Trains the model `digits` and writes it with the images that it has never seen.

The images are the 1797 handwritten digits (8x8 pixels) that scikit-learn carries. 360 of them,
equally many of each digit, are held out: they are not trained on and become the input data. The
rest trains a perceptron with two hidden layers. Every random choice comes from SEED below, so the
same versions of the libraries on the same kind of processor give the same bytes.

    train_digits.py            writes repository/digits/1/model.onnx and data/digits.json
    train_digits.py --check    trains, writes nothing, and fails unless the files are the same

README.md beside this file says how to get the libraries.
"""

import json

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from write_or_check import HERE, wants_check, write_or_check

SEED = 7
HELD_OUT = 360
MODEL_FILE = HERE / "repository/digits/1/model.onnx"
DATA_FILE = HERE / "data/digits.json"


def load_images():
    """Images as floats from 0 (paper) to 1 (ink), split into those to train on and the held-out."""
    pixels, labels = load_digits(return_X_y=True)
    images = (pixels / 16).astype(np.float32)  # the set counts ink in steps of 1/16
    return train_test_split(
        images, labels, test_size=HELD_OUT, stratify=labels, random_state=SEED
    )


def export(network):
    """The trained network as ONNX: IMAGE -> SCORES (probabilities) and LABEL (the best score)."""
    nodes = [helper.make_node("Flatten", ["IMAGE"], ["x0"], axis=1)]
    weights = []
    depth = len(network.coefs_)
    for i, (weight, bias) in enumerate(zip(network.coefs_, network.intercepts_)):
        weights.append(numpy_helper.from_array(weight.astype(np.float32), f"weight{i}"))
        weights.append(numpy_helper.from_array(bias.astype(np.float32), f"bias{i}"))
        last = i == depth - 1
        sums = "sums" if last else f"sums{i}"
        nodes.append(helper.make_node("Gemm", [f"x{i}", f"weight{i}", f"bias{i}"], [sums]))
        if not last:
            nodes.append(helper.make_node("Relu", [sums], [f"x{i + 1}"]))
    nodes.append(helper.make_node("Softmax", ["sums"], ["SCORES"], axis=1))
    nodes.append(helper.make_node("ArgMax", ["sums"], ["LABEL"], axis=1, keepdims=1))
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "digits",
        [tensor("IMAGE", TensorProto.FLOAT, ["batch", 1, 8, 8])],
        [
            tensor("SCORES", TensorProto.FLOAT, ["batch", 10]),
            tensor("LABEL", TensorProto.INT64, ["batch", 1]),
        ],
        weights,
    )
    model = helper.make_model(
        graph,
        producer_name="train_digits.py",
        ir_version=8,
        opset_imports=[helper.make_opsetid("", 13)],
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def to_json(images, labels):
    """perf_analyzer's format, a line per image; validation_data compares LABEL and nothing else."""

    def rows(name, values):
        lines = [json.dumps({name: value}, separators=(",", ":")) for value in values]
        return "[\n" + ",\n".join(lines) + "\n]"

    # k/16 is exact in at most four decimals; 0 and 1 are written without any.
    short = [[int(v) if v in (0, 1) else float(v) for v in image] for image in images]
    expected = [[int(label)] for label in labels]
    return f'{{"data":{rows("IMAGE", short)},\n"validation_data":{rows("LABEL", expected)}}}\n'


def main():
    check = wants_check(__doc__)
    train_images, test_images, train_labels, test_labels = load_images()
    network = MLPClassifier((128, 64), alpha=1e-3, batch_size=64, random_state=SEED)
    network.fit(train_images, train_labels)

    # What is printed is the accuracy of the file that is written, not of the trainer's own object.
    model = export(network)
    (found,) = ReferenceEvaluator(model).run(["LABEL"], {"IMAGE": test_images.reshape(-1, 1, 8, 8)})
    right = int((found[:, 0] == test_labels).sum())
    files = {
        MODEL_FILE: model.SerializeToString(),
        DATA_FILE: to_json(test_images, test_labels).encode(),
    }
    print(f"trained on {len(train_images)} images in {network.n_iter_} rounds")
    print(f"held-out images: {right} of {len(test_labels)} right, accuracy {right / HELD_OUT:.4f}")
    for path, content in files.items():
        write_or_check(path, content, check, "other versions or on another processor")


if __name__ == "__main__":
    main()
