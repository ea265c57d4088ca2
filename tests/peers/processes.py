"""Servers and load generators as processes: started on loopback, stopped by their own id."""

import contextlib
import ctypes
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TRITON = os.path.join(HERE, "triton.sh")
PERF_ANALYZER = os.path.join(HERE, "perf_analyzer.sh")
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class Failure(Exception):
    """What a case expected and did not find."""


class Unable(Exception):
    """Why this machine cannot run a case, which is skipped then."""


def expect(condition, text):
    if not condition:
        raise Failure(text)


def wait_until(what, condition, timeout):
    deadline = time.monotonic() + timeout
    while not condition():
        expect(time.monotonic() < deadline, f"not within {timeout} s: {what}")
        time.sleep(0.05)


def near(what, value, truth, relative, absolute=0.0):
    """Fails unless the value is as close to the truth as it must be; prints both."""
    allowed = abs(truth) * relative + absolute
    print(f"  {what}: {value:.6g}, truth {truth:.6g} (allowed +- {allowed:.3g})")
    expect(abs(value - truth) <= allowed, f"{what} is {value:.6g} where {truth:.6g} is true")


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _start(command, output_path):
    # SEXTANT_ variables are options of sextant: those of whoever runs the tests have no say here.
    own = {k: v for k, v in os.environ.items() if not k.startswith("SEXTANT_")}
    if "SEXTANT_DEPS" in os.environ:
        own["SEXTANT_DEPS"] = os.environ["SEXTANT_DEPS"]
    with open(output_path, "w") as output:
        return subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=own, preexec_fn=_die_with_parent
        )


def _read(path):
    with open(path, errors="replace") as file:
        return file.read()


# --- servers ------------------------------------------------------------------------------------


class Server:
    """A running server: `ports` has http, grpc and metrics."""

    def __init__(self, process, ports, log_path):
        self.process = process
        self.ports = ports
        self.log_path = log_path

    def get(self, path, timeout=5):
        return self._call("GET", path, None, timeout)

    def post(self, path, value, timeout=60):
        """Sends a value as JSON."""
        return self._call("POST", path, json.dumps(value), timeout)

    def _call(self, method, path, body, timeout):
        connection = http.client.HTTPConnection("127.0.0.1", self.ports["http"], timeout=timeout)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def inferences(self, model):
        status, body = self.get(f"/v2/models/{model}/stats")
        expect(status == 200, f"statistics of {model}: HTTP {status}")
        return json.loads(body)["model_stats"][0]["inference_count"]

    def wait_for(self, what, condition, timeout):
        deadline = time.monotonic() + timeout
        while not condition():
            if self.process.poll() is not None:
                raise Failure(f"the server ended:\n{_read(self.log_path)[-3000:]}")
            if time.monotonic() > deadline:
                raise Failure(f"no {what} within {timeout} s:\n{_read(self.log_path)[-3000:]}")
            time.sleep(0.01)

    def pause(self):
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self.process.pid, signal.SIGCONT)

    def stop(self):
        if self.process.poll() is None:
            self.resume()
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def _answers_ready(self):
        try:
            return self.get("/v2/health/ready")[0] == 200
        except OSError:
            return False


def write_model(repository, name, config, python_file=None):
    version = os.path.join(repository, name, "1")
    os.makedirs(version)
    with open(os.path.join(repository, name, "config.pbtxt"), "w") as file:
        file.write(f'name: "{name}"\n{config}')
    if python_file:
        shutil.copy(python_file, os.path.join(version, "model.py"))


def tensors(data_type, length):
    """Inputs and outputs of an identity model, as config.pbtxt has them."""
    return (
        f'input [ {{ name: "INPUT" data_type: {data_type} dims: [ {length} ] }} ]\n'
        f'output [ {{ name: "OUTPUT" data_type: {data_type} dims: [ {length} ] }} ]\n'
    )


def ensemble_of(first, second, length, head=""):
    """The configuration of an ensemble whose steps have an INPUT and an OUTPUT."""
    tensor = f"data_type: TYPE_FP32 dims: [ {length} ]"
    return f"""platform: "ensemble"
{head}input [ {{ name: "INPUT" {tensor} }} ]
output [ {{ name: "OUTPUT" {tensor} }} ]
ensemble_scheduling {{ step [
  {{ model_name: "{first}" model_version: -1
    input_map {{ key: "INPUT" value: "INPUT" }} output_map {{ key: "OUTPUT" value: "between" }} }},
  {{ model_name: "{second}" model_version: -1
    input_map {{ key: "INPUT" value: "between" }} output_map {{ key: "OUTPUT" value: "OUTPUT" }} }}
] }}
"""


def instances(count):
    return f"instance_group [ {{ count: {count} kind: KIND_CPU }} ]\n"


def parameters(**values):
    return "".join(
        f'parameters {{ key: "{k}" value: {{ string_value: "{v}" }} }}\n' for k, v in values.items()
    )


def write_rows(path, rows, length, wrong):
    """An input data file for models that answer with their inputs.

    The first `wrong` rows expect something else.
    """
    inputs = [[float(r * length + i) for i in range(length)] for r in range(rows)]
    answers = [row[:-1] + [row[-1] + (r < wrong)] for r, row in enumerate(inputs)]
    data = {
        "data": [{"INPUT": row} for row in inputs],
        "validation_data": [{"OUTPUT": row} for row in answers],
    }
    with open(path, "w") as file:
        json.dump(data, file)


@contextlib.contextmanager
def sextant_serve(sextant, models):
    """`models` maps names to the text of config.pbtxt."""
    with tempfile.TemporaryDirectory(prefix="sextant_peers_") as folder:
        repository, log = os.path.join(folder, "models"), os.path.join(folder, "log")
        for name, config in models.items():
            write_model(repository, name, config)
        command = [sextant, "serve", "--model-repository", repository]
        command += ["--http-address", "127.0.0.1"]
        command += ["--http-port", "0", "--grpc-port", "0", "--metrics-port", "0"]
        server = Server(_start(command, log), {}, log)
        try:
            server.wait_for("line that says ready", lambda: "\nready" in _read(log), 20)
            found = re.findall(r"^(\w+) on 127\.0\.0\.1:(\d+)$", _read(log), re.MULTILINE)
            server.ports = {service: int(port) for service, port in found}
            yield server
        finally:
            server.stop()


def _free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]


@contextlib.contextmanager
def triton_on(repository, options=()):
    """A real Triton that serves what is in that folder."""
    with tempfile.TemporaryDirectory(prefix="sextant_peers_") as folder:
        log = os.path.join(folder, "log")
        http_port, grpc_port, metrics_port = _free_ports(3)
        command = [TRITON, f"--model-repository={repository}", "--exit-timeout-secs=5"]
        for service, port in ("http", http_port), ("grpc", grpc_port), ("metrics", metrics_port):
            command += [f"--{service}-address=127.0.0.1", f"--{service}-port={port}"]
        ports = {"http": http_port, "grpc": grpc_port, "metrics": metrics_port}
        server = Server(_start(command + list(options), log), ports, log)
        try:
            server.wait_for("answer that Triton is ready", server._answers_ready, 60)
            yield server
        finally:
            server.stop()


@contextlib.contextmanager
def real_triton(models, python_file, options=()):
    with tempfile.TemporaryDirectory(prefix="sextant_peers_") as repository:
        for name, config in models.items():
            own = "" if "platform:" in config else 'backend: "python"\n'
            write_model(repository, name, own + config, python_file)
        with triton_on(repository, options) as server:
            yield server


# --- load generators ----------------------------------------------------------------------------


class Run:
    """A load generator that has ended: its text, exit code, time and memory."""

    def __init__(self, command):
        self._folder = tempfile.TemporaryDirectory(prefix="sextant_peers_")
        self._path = os.path.join(self._folder.name, "output")
        self.command = command
        self.exit_code = None
        self.peak_rss_mib = 0.0
        self._begin = time.monotonic()
        self._process = _start(command, self._path)

    def running(self):
        """Whether it still runs; its memory is read in passing."""
        with contextlib.suppress(OSError):
            found = re.search(r"VmHWM:\s+(\d+) kB", _read(f"/proc/{self._process.pid}/status"))
            if found:
                self.peak_rss_mib = int(found[1]) / 1024
        if self._process.poll() is None:
            return True
        self.wall_s = time.monotonic() - self._begin
        self.exit_code = self._process.returncode
        return False

    def wait(self, timeout=120):
        """What it printed. After the timeout it is killed, and exit_code stays None."""
        try:
            while self.running():
                if time.monotonic() - self._begin > timeout:
                    self.wall_s = time.monotonic() - self._begin
                    break
                time.sleep(0.01)
        finally:
            self.kill()
        self.text = _read(self._path)
        self._folder.cleanup()
        return self

    def interrupt(self):
        self._process.send_signal(signal.SIGINT)

    def kill(self):
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def report(self):
        """Its only level; fails when there is none."""
        found = parse_report(self.text)
        expect(len(found) == 1, f"{' '.join(self.command)} printed no report:\n{self.text}")
        return found[0]


def sextant_perf(sextant, server, protocol, model, *options):
    url = f"127.0.0.1:{server.ports[protocol]}"
    return Run([sextant, "perf", "-m", model, "-i", protocol, "-u", url, *map(str, options)])


def perf_analyzer(server, protocol, model, *options):
    url = f"127.0.0.1:{server.ports[protocol]}"
    return Run([PERF_ANALYZER, "-m", model, "-i", protocol, "-u", url, *map(str, options)])


# --- what they print: Sextant's report is in perf_analyzer's words, so one parser reads both -------

_FIGURES = {
    "requests": r"^    Request count: (\d+)",
    "throughput": r"^    Throughput: ([\d.e+-]+) infer/sec",
    "avg": r"^    Avg latency: ([\d.]+) usec",
    "sd": r"^    Avg latency: .*\(standard deviation ([\d.]+) usec\)",
    "p50": r"^    p50 latency: ([\d.]+) usec",
    "p90": r"^    p90 latency: ([\d.]+) usec",
    "p95": r"^    p95 latency: ([\d.]+) usec",
    "p99": r"^    p99 latency: ([\d.]+) usec",
    "max": r"^    max latency: ([\d.]+) usec",
    "inferences": r"^    Inference count: (\d+)",
    "server": r"^    Avg request latency: ([\d.]+) usec",
    "queue": r"^    Avg request latency: .*queue ([\d.]+) usec",
    "infer": r"^    Avg request latency: .*compute infer ([\d.]+) usec",
    "failed": r"^    Failed: (\d+) of",
    "scheduled": r"^    Failed: \d+ of (\d+) requests",
}


def parse_report(text):
    """The levels of a report: figures by name, times in microseconds."""
    levels = []
    for part in re.split(r"^Request (?:concurrency|Rate): ", text, flags=re.MULTILINE)[1:]:
        found = {k: re.search(pattern, part, re.MULTILINE) for k, pattern in _FIGURES.items()}
        figures = {name: float(match[1]) for name, match in found.items() if match}
        if "throughput" in figures:
            levels.append(figures)
    return levels
