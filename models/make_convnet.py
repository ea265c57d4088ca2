#!/usr/bin/env python3
"""Makes the model `convnet`: slow enough that batching, instances and threads matter.

It has the shape of the classic image classifiers, convolutions and then wide dense layers, and
random weights: it classifies nothing, it only costs what such a model costs. The cost is in the
arithmetic and not in the file:

  - the convolutions use the same two kernels again and again. Their work grows with the batch, so
    they reward threads and instances;
  - the dense layers use a 2048x2048 matrix that the graph itself tiles from a 128x128 one when it
    is loaded. To multiply one image means to read all its 16 MiB, and to multiply eight images
    means to read them once: this is what rewards batching.

    make_convnet.py            writes repository/convnet/1/model.onnx
    make_convnet.py --check    writes nothing, and fails unless the file is the same

README.md beside this file says how to get the libraries.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from write_or_check import HERE, wants_check, write_or_check

SEED = 7
CHANNELS = 32
BLOCKS = 3
DENSE = 2048  # = CHANNELS * 8 * 8, what the pooling leaves
TILE = 128
CLASSES = 10
MODEL_FILE = HERE / "repository/convnet/1/model.onnx"


class Graph:
    """Collects nodes and weights; every operation names its own output."""

    def __init__(self):
        self.nodes = []
        self.weights = []
        self.random = np.random.default_rng(SEED)

    def weight(self, name, shape, fan_in):
        """Normal values that neither blow the signal up nor let it die (He's initialisation)."""
        values = self.random.standard_normal(shape) * np.sqrt(2 / fan_in)
        return self.constant(name, values.astype(np.float32))

    def constant(self, name, values):
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def op(self, kind, *inputs, output=None, **attributes):
        output = output or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output


def convolutions(graph):
    """3x128x128 to 2048 features: a stem that halves the image, residual blocks, pooling to 8x8."""
    stem = graph.weight("stem", (CHANNELS, 3, 3, 3), 3 * 9)
    first = graph.weight("first", (CHANNELS, CHANNELS, 3, 3), CHANNELS * 9)
    # Small, because each block adds its result to its input.
    second = graph.weight("second", (CHANNELS, CHANNELS, 3, 3), CHANNELS * 9 * 8)
    x = graph.op("Relu", graph.op("Conv", "IMAGE", stem, strides=[2, 2], pads=[1, 1, 1, 1]))
    for _ in range(BLOCKS):
        y = graph.op("Relu", graph.op("Conv", x, first, pads=[1, 1, 1, 1]))
        y = graph.op("Conv", y, second, pads=[1, 1, 1, 1])
        x = graph.op("Relu", graph.op("Add", x, y))
    pooled = graph.op("AveragePool", x, kernel_shape=[8, 8], strides=[8, 8])
    return graph.op("Flatten", pooled, axis=1)


def dense_layers(graph, x):
    """Two wide layers on one tiled matrix, then the scores of the classes."""
    copies = DENSE // TILE
    # Smaller than in a matrix of independent values: what a value does, its copies do again.
    tile = graph.weight("tile", (TILE, TILE), DENSE * copies)
    repeats = graph.constant("repeats", np.full(2, copies, np.int64))
    wide = graph.op("Tile", tile, repeats)
    for _ in range(2):
        x = graph.op("Relu", graph.op("MatMul", x, wide))
    last = graph.weight("last", (DENSE, CLASSES), DENSE)
    graph.op("Softmax", graph.op("MatMul", x, last), output="SCORES", axis=1)


def make_model():
    graph = Graph()
    dense_layers(graph, convolutions(graph))
    tensor = helper.make_tensor_value_info
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "convnet",
            [tensor("IMAGE", TensorProto.FLOAT, ["batch", 3, 128, 128])],
            [tensor("SCORES", TensorProto.FLOAT, ["batch", CLASSES])],
            graph.weights,
        ),
        producer_name="make_convnet.py",
        ir_version=8,
        opset_imports=[helper.make_opsetid("", 13)],
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def main():
    check = wants_check(__doc__)
    content = make_model().SerializeToString()
    write_or_check(MODEL_FILE, content, check, "other versions of the libraries")


if __name__ == "__main__":
    main()
