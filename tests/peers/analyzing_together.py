"""`sextant analyze --mix`: two Python models on one real Triton, each with a best configuration of its
own that is known by construction (python_models/known_best.py)."""

import json
import os
import tempfile

from processes import HERE, TRITON, Run, expect, instances, near, parameters, tensors, write_model

PYTHON_FILE = os.path.join(HERE, "python_models", "known_best.py")
LENGTH = 4
# Instances beyond the best get in each other's way, so that more is not better.
MODELS = {
    "quick": {"best_instances": 2, "best_batch_size": 1, "crowding": 1, "fixed_ms": 20, "item_ms": 2},
    "slow": {"best_instances": 3, "best_batch_size": 1, "crowding": 1, "fixed_ms": 40, "item_ms": 2},
}


def names_the_best_of_both(sextant):
    """Both models' best instances are named, and each has the throughput that follows from them."""
    with tempfile.TemporaryDirectory(prefix="sextant_peers_") as folder:
        repository, out = os.path.join(folder, "models"), os.path.join(folder, "out")
        for name, known in MODELS.items():
            config = 'backend: "python"\nmax_batch_size: 1\n'
            config += tensors("TYPE_FP32", LENGTH) + instances(1) + parameters(**known)
            write_model(repository, name, config, PYTHON_FILE)
        done = Run([sextant, "analyze", "--mix", "quick:concurrency=6,slow:concurrency=8",
                    "--model-repository", repository, "--launch", "local", "--server-program",
                    TRITON, "--set", "quick:instances=1,2", "--set", "slow:instances=2,3", "-d",
                    "0s", "-e", out, "--constraint", "slow:p99<1s"]).wait(170)  # fmt: skip
        print(done.text)
        expect(done.exit_code == 0, f"exit code {done.exit_code}")
        with open(os.path.join(out, "results.json")) as file:
            best = json.load(file)["ranking"][0]
        right = {"quick:instance_group.count": 2, "slow:instance_group.count": 3}
        expect(best["settings"] == right and best["standing"] == "wins", f"named {best}")
        # Two instances with one inference in 22 ms, three with one in 42.
        figures = best["figures"]
        near("quick's throughput", figures["quick:throughput"]["value"], 2 / 0.022, 0.15)
        near("slow's throughput", figures["slow:throughput"]["value"], 3 / 0.042, 0.15)
        for name, count in ("quick", 2), ("slow", 3):
            path = os.path.join(out, "configurations", best["configuration"], name, "config.pbtxt")
            with open(path) as file:
                expect(f"count: {count}" in file.read(), path)


CASES = {"analyze_names_the_best_of_both": names_the_best_of_both}
