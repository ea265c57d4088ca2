"""`sextant analyze --mix`: two Python models on one real Triton, each with a best configuration of its
own that is known by construction (python_models/known_best.py)."""

import json
import os
import tempfile

from processes import HERE, TRITON, Run, ensemble_of, expect, instances, near, parameters, tensors
from processes import write_model

PYTHON_FILE = os.path.join(HERE, "python_models", "known_best.py")
LENGTH = 4
# Instances beyond the best get in each other's way, so that more is not better.
MODELS = {
    "quick": {"best_instances": 2, "best_batch_size": 1, "crowding": 1, "fixed_ms": 20, "item_ms": 2},
    "slow": {"best_instances": 3, "best_batch_size": 1, "crowding": 1, "fixed_ms": 40, "item_ms": 2},
}


def _write_models(repository):
    for name, known in MODELS.items():
        config = 'backend: "python"\nmax_batch_size: 1\n'
        config += tensors("TYPE_FP32", LENGTH) + instances(1) + parameters(**known)
        write_model(repository, name, config, PYTHON_FILE)


def _analyze(sextant, repository, out, *options):
    """The best of the ranking."""
    done = Run([sextant, "analyze", "--model-repository", repository, "--launch", "local",
                "--server-program", TRITON, "-d", "0s", "-e", out, *options]).wait(200)  # fmt: skip
    print(done.text)
    expect(done.exit_code == 0, f"exit code {done.exit_code}")
    with open(os.path.join(out, "results.json")) as file:
        return json.load(file)["ranking"][0]


def names_the_best_of_both(sextant):
    """Both models' best instances are named, and each has the throughput that follows from them."""
    with tempfile.TemporaryDirectory(prefix="sextant_peers_") as folder:
        repository, out = os.path.join(folder, "models"), os.path.join(folder, "out")
        _write_models(repository)
        best = _analyze(sextant, repository, out, "--mix", "quick:concurrency=6,slow:concurrency=8",
                        "--set", "quick:instances=1,2", "--set", "slow:instances=2,3",
                        "--constraint", "slow:p99<1s")  # fmt: skip
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


def names_the_best_steps(sextant):
    """The steps of an ensemble are loaded with configurations of their own, which stay with them
    though Triton loads them again when it loads the ensemble."""
    with tempfile.TemporaryDirectory(prefix="sextant_peers_") as folder:
        repository, out = os.path.join(folder, "models"), os.path.join(folder, "out")
        _write_models(repository)
        both = ensemble_of("quick", "slow", LENGTH, "max_batch_size: 1\n")
        write_model(repository, "both", both)
        os.makedirs(os.path.join(repository, "both", "1"), exist_ok=True)
        best = _analyze(sextant, repository, out, "-m", "both", "--set", "quick:instances=1,2",
                        "--set", "slow:instances=1,3", "-c", "12")  # fmt: skip
        right = {"quick:instance_group.count": 2, "slow:instance_group.count": 3}
        expect(best["settings"] == right, f"named {best}")
        near("throughput", best["figures"]["throughput"]["value"], 3 / 0.042, 0.15)


CASES = {
    "analyze_names_the_best_of_both": names_the_best_of_both,
    "analyze_names_the_best_steps": names_the_best_steps,
}
