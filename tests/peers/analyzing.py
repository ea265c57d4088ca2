"""`sextant analyze` starts a real Triton and searches a Python model's configurations; which is the
best is known by construction (python_models/known_best.py), and so is what befalls the others."""

import contextlib
import hashlib
import json
import os
import re
import tempfile
import time
import uuid

from processes import HERE, TRITON, Run, expect, instances, near, parameters, tensors
from processes import triton_on, wait_until, write_model

MODEL = "known"
PYTHON_FILE = os.path.join(HERE, "python_models", "known_best.py")
LENGTH = 4
KNOWN = {"best_instances": 2, "best_batch_size": 4, "crowding": 1, "fixed_ms": 20, "item_ms": 2}
MARK = "PEERS_MARK"  # in the environment of all that a case starts


def write_models(repository):
    config = 'backend: "python"\nmax_batch_size: 1\ndynamic_batching { }\n'
    config += tensors("TYPE_FP32", LENGTH) + instances(1) + parameters(**KNOWN)
    write_model(repository, MODEL, config, PYTHON_FILE)


def _contents(folder):
    """Every file with its bytes, rights and time of change."""
    found = {}
    for path, folders, files in os.walk(folder):
        for name in folders + files:
            whole = os.path.join(path, name)
            about = os.lstat(whole)
            content = b""
            if name in files:
                with open(whole, "rb") as file:
                    content = hashlib.sha256(file.read()).digest()
            found[whole] = (content, about.st_mode, about.st_mtime_ns)
    return found


def marked(mark):
    """The processes that have the mark, by id."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/environ", "rb") as file:
                environment = file.read().split(b"\0")
            if int(pid) != os.getpid() and f"{MARK}={mark}".encode() in environment:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    found[int(pid)] = file.read().replace(b"\0", b" ").decode()
    return found


def command(sextant, folder, *options):
    """An analysis of the model below the folder, with results there."""
    repository, out = os.path.join(folder, "models"), os.path.join(folder, "out")
    return [sextant, "analyze", "-m", MODEL, "--model-repository", repository, "-d", "0s", "-e",
            out, *map(str, options)]  # fmt: skip


def _counting_triton(folder):
    """Triton, with a line in `starts` for each time that it is started."""
    program = os.path.join(folder, "triton.sh")
    with open(program, "w") as file:
        file.write(f'#!/bin/bash\necho started >>"{folder}/starts"\nexec "{TRITON}" "$@"\n')
    os.chmod(program, 0o755)
    return ["--launch", "local", "--server-program", program]


def _starts(folder):
    with open(os.path.join(folder, "starts")) as file:
        return len(file.readlines())


def analyze(sextant, folder, *options, launch=None):
    """Runs it on the model, with a Triton of its own unless `launch` says otherwise; its results.
    What it must never do is looked at here: change the repository, leave a process or memory."""
    launch = launch or _counting_triton(folder)
    repository, out = os.path.join(folder, "models"), os.path.join(folder, "out")
    write_models(repository)
    before = _contents(repository)
    os.environ[MARK] = mark = uuid.uuid4().hex
    shared = set(os.listdir("/dev/shm"))
    begin = time.monotonic()
    done = Run(command(sextant, folder, *launch, *options)).wait(150)
    print(done.text)
    print(f"{time.monotonic() - begin:.1f} s")
    left = marked(mark)
    expect(not left, f"left behind: {left}")
    shared = set(os.listdir("/dev/shm")) - shared
    expect(not any("sextant" in name for name in shared), f"left in /dev/shm: {shared}")
    expect(done.exit_code == 0, f"exit code {done.exit_code}")
    expect(_contents(repository) == before, "the user's model repository is not as it was")
    with open(os.path.join(out, "results.json")) as file:
        return out, json.load(file)


def _infers(server):
    row = [float(i) for i in range(LENGTH)]
    tensor = {"name": "INPUT", "datatype": "FP32", "shape": [1, LENGTH], "data": row}
    status, body = server.post(f"/v2/models/{MODEL}/infer", {"inputs": [tensor]})
    expect(status == 200, f"HTTP {status}: {body}")
    expect(json.loads(body)["outputs"][0]["data"] == row, f"another answer: {body}")


def _is_accepted(folder, configuration):
    """A real Triton loads the model with that config.pbtxt, and answers."""
    repository = os.path.join(folder, "deployed")
    write_model(repository, MODEL, "", PYTHON_FILE)
    with open(os.path.join(repository, MODEL, "config.pbtxt"), "w") as file:
        file.write(configuration)
    with triton_on(repository, ["--model-control-mode=explicit"]) as server:
        status, body = server.post(f"/v2/repository/models/{MODEL}/load", {})
        expect(status == 200, f"HTTP {status}: {body}")
        status, body = server.get(f"/v2/models/{MODEL}/config")
        loaded = json.loads(body)
        expect(loaded["max_batch_size"] == KNOWN["best_batch_size"], f"loaded: {loaded}")
        counts = [group["count"] for group in loaded["instance_group"]]
        expect(counts == [KNOWN["best_instances"]], f"loaded: {loaded}")
        _infers(server)


def names_the_best(sextant):
    """It names what is best by construction, and what it writes can be deployed."""
    with tempfile.TemporaryDirectory(prefix="sextant_peers_") as folder:
        options = ["--set", "instance_group.count=2,3", "--set", "max_batch_size=4,8", "-c", 16]
        out, results = analyze(sextant, folder, *options)
        best = results["ranking"][0]
        named = best["settings"]
        right = {"instance_group.count": 2, "max_batch_size": 4}
        expect(named == right and best["standing"] == "wins", f"named {best}")
        # Two instances, each four inferences in 28 ms.
        near("throughput", best["figures"]["throughput"]["value"], 2 * 4 / 0.028, 0.08)
        expect(_starts(folder) == 1, f"Triton was started {_starts(folder)} times")
        name = best["configuration"]
        expect(re.search(rf"\b{name}\b", results["verdict"]), f"verdict: {results['verdict']}")
        with open(os.path.join(out, "configurations", name, "config.pbtxt")) as file:
            _is_accepted(folder, file.read())


def survives_bad_configurations(sextant):
    """One configuration is refused, two end the server, one hangs: each has its row, and the rest
    is measured."""
    with tempfile.TemporaryDirectory(prefix="sextant_peers_") as folder:
        faults = "refused,kills_loading,kills,hangs,slow"
        options = ["--set", f"parameters[fault]={faults}", "-c", 4, "--timeout", "2s"]
        _, results = analyze(sextant, folder, *options)
        rows = {p["settings"].get("parameters[fault]", "default"): p for p in results["points"]}
        for fault, row in rows.items():
            print(f"{fault}: {row['status']}: {row.get('error', '')}")
        expect(set(rows) == {"default", *faults.split(",")}, f"rows: {set(rows)}")
        # One instance, one inference in 22 ms.
        for fault, truth in ("default", 1 / 0.022), ("slow", 0.5 / 0.022):
            expect(rows[fault]["status"] == "measured", f"{fault}: {rows[fault]}")
            near(f"throughput, {fault}", rows[fault]["figures"]["throughput"]["value"], truth, 0.08)
        expect(rows["refused"]["status"] == "refused", f"{rows['refused']}")
        own_words = "this model wants another configuration"
        expect(own_words in rows["refused"]["error"], f"no word of the server: {rows['refused']}")
        for fault in "kills_loading", "kills":
            expect(rows[fault]["status"] == "refused", f"{rows[fault]}")
            expect("the server died" in rows[fault]["error"], f"{rows[fault]}")
        expect(rows["hangs"]["status"] == "failed", f"{rows['hangs']}")
        expect("no answer within the timeout" in rows["hangs"]["error"], f"{rows['hangs']}")
        expect(results["ranking"][0]["configuration"].endswith("_default"), f"{results['verdict']}")
        # Anew for what died and for what hung, and for nothing else; what is refused is tried again.
        points = results["points"]
        tried = [p["settings"].get("parameters[fault]", "default") for p in points]
        ended = [f for f in tried[:-1] if f in ("kills_loading", "kills", "hangs")]
        expect(_starts(folder) == 1 + len(ended), f"{_starts(folder)} starts of Triton for {tried}")
        # A death is noticed while the load runs, and while the model is loaded.
        near("seconds until the death was noticed", rows["kills"]["cost_s"], 0, 0, absolute=2)
        near("and while loading", rows["kills_loading"]["load_cost_s"], 0, 0, absolute=8)
        # Its last words are about this configuration: nothing that was said of the one before.
        expect(own_words not in rows["kills"]["error"], f"{rows['kills']['error']}")


def leaves_nothing_when_killed(sextant):
    """Triton, its Python models and the memory that they share end with it."""
    with tempfile.TemporaryDirectory(prefix="sextant_peers_") as folder, \
         contextlib.ExitStack() as started:  # fmt: skip
        write_models(os.path.join(folder, "models"))
        os.environ[MARK] = mark = uuid.uuid4().hex
        shared = set(os.listdir("/dev/shm"))
        options = [*_counting_triton(folder), "--set", "parameters[fault]=hangs", "-c", 4]
        run = Run(command(sextant, folder, *options))
        started.callback(run.kill)
        regions = lambda: {n for n in set(os.listdir("/dev/shm")) - shared if "sextant" in n}
        stubs = lambda: [line for line in marked(mark).values() if "python_backend_stub" in line]
        journal = os.path.join(folder, "out", "journal.jsonl")

        def measured():
            with contextlib.suppress(FileNotFoundError), open(journal) as file:
                return '"type":"point"' in file.read()

        wait_until("a point", measured, 60)
        wait_until("a Python model", lambda: stubs() and regions(), 30)
        run.kill()
        wait_until("no process is left", lambda: not marked(mark), 10)
        wait_until("no memory is left", lambda: not regions(), 10)


def searches_on_a_server_that_polls(sextant):
    """Configurations appear in a directory that a Triton of somebody else polls, beside what is not
    ours; afterwards it is as it was."""
    with tempfile.TemporaryDirectory(prefix="sextant_peers_") as folder:
        polled = os.path.join(folder, "polled")
        config = 'backend: "python"\nmax_batch_size: 1\n' + tensors("TYPE_FP32", LENGTH)
        config += instances(1) + parameters(**KNOWN)
        write_model(polled, "foreign", config, PYTHON_FILE)
        with open(os.path.join(polled, "notes.txt"), "w") as file:
            file.write("somebody's\n")
        with triton_on(
            polled, ["--model-control-mode=poll", "--repository-poll-secs=1"]
        ) as server:
            before = _contents(polled)
            url = f"127.0.0.1:{server.ports['http']}"
            there = ["-u", url, "--work-repository", polled]
            options = ["--set", "instance_group.count=2,3", "--set", "max_batch_size=4", "--set",
                       "parameters[fault]=none,refused", "-c", 16, "--where",
                       'instances==2 or parameters[fault]=="none"']  # fmt: skip
            _, results = analyze(sextant, folder, *options, launch=there)
            best = results["ranking"][0]
            right = {"instance_group.count": 2, "max_batch_size": 4, "parameters[fault]": "none"}
            expect(best["settings"] == right and best["standing"] == "wins", f"named {best}")
            near("throughput", best["figures"]["throughput"]["value"], 2 * 4 / 0.028, 0.2)
            refused = [p for p in results["points"] if p["status"] == "refused"]
            # At once, and when it is tried again.
            settings = [p["settings"]["parameters[fault]"] for p in refused]
            expect(settings == ["refused"] * 2, f"refused: {refused}")
            expect("this model wants another configuration" in refused[0]["error"], f"{refused}")
            # Nothing of the directory is ours any more, and the server, which is not ours, goes on.
            expect(_contents(polled) == before, f"not as it was: {os.listdir(polled)}")
            status, _ = server.get("/v2/models/foreign/ready")
            expect(status == 200, f"the other model: HTTP {status}")
            gone = lambda: server.get(f"/v2/models/{MODEL}/ready")[0] != 200
            server.wait_for("end of the model that was analyzed", gone, 10)


CASES = {
    "analyze_names_the_best": names_the_best,
    "analyze_survives_bad_configurations": survives_bad_configurations,
    "analyze_killed": leaves_nothing_when_killed,
    "analyze_on_a_server_that_polls": searches_on_a_server_that_polls,
}
