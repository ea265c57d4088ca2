"""The two servers under comparison, started on loopback with a repository of their own and stopped
by their own process id."""

import http.client
import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import models

REPOSITORY_ROOT = os.path.dirname(os.path.dirname(models.HERE))


class PeerAbsent(Exception):
    """A real server that this machine does not have."""


def triton_command():
    command = os.environ.get("SEXTANT_TRITON")
    if command:
        words = shlex.split(command)
    else:
        words = [os.path.join(REPOSITORY_ROOT, "tests", "peers", "triton.sh")]
    if shutil.which(words[0]) is None:
        raise PeerAbsent(
            f"{words[0]} does not exist: scripts/setup.sh --tests installs Triton, or SEXTANT_TRITON "
            "names a command that takes tritonserver's flags"
        )
    return words


def free_ports(count):
    """Ports that nobody listens at. Below those that the kernel gives to outgoing connections: one
    of these could be taken before the server asks for it."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as text:
        first_outgoing = int(text.read().split()[0])
    sockets = []
    try:
        while len(sockets) < count:
            s = socket.socket()
            sockets.append(s)
            try:
                s.bind(("127.0.0.1", random.randrange(10_000, first_outgoing)))
            except OSError:
                sockets.pop().close()
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


class Server:
    """A running server. `label` is how reports name it."""

    def __init__(self, label, command, names, backend, flags, environment=None, load=None):
        self.label = label
        self.terminated = False
        self.names = list(names)
        self.directory = tempfile.mkdtemp(prefix=f"sextant_conformance_{label}_")
        self.repository = os.path.join(self.directory, "models")
        os.mkdir(self.repository)
        models.write_repository(self.repository, backend, names)
        self.log_path = os.path.join(self.directory, "log")
        self.http_port, self.grpc_port, self.metrics_port = free_ports(3)
        arguments = command + [
            "--model-repository=" + self.repository,
            "--http-address=127.0.0.1",
            f"--http-port={self.http_port}",
            f"--grpc-port={self.grpc_port}",
            f"--metrics-port={self.metrics_port}",
        ]
        arguments += flags + ["--load-model=" + name for name in load or []]
        with open(self.log_path, "w") as log:
            self.process = subprocess.Popen(
                arguments,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )

    def log(self):
        with open(self.log_path, errors="replace") as log:
            return log.read()

    def alive(self):
        return self.process.poll() is None

    def wait_ready(self, timeout=60):
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.process.poll() == 127:  # what tests/peers/triton.sh says without a Triton
                raise PeerAbsent(self.log().strip())
            if not self.alive():
                raise RuntimeError(f"{self.label} ended at its start:\n{self.log()[-4000:]}")
            try:
                if self.raw_http("GET", "/v2/health/ready").status == 200:
                    self.raw_http("GET", "/metrics", port=self.metrics_port)
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise RuntimeError(f"{self.label} was not ready within {timeout} s:\n{self.log()[-4000:]}")

    def raw_http(self, method, path, body=None, headers=None, port=None, timeout=20):
        """One request without a client library in between; the response with its body in .content."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.http_port, timeout=timeout)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            response.content = response.read()
            return response
        finally:
            connection.close()

    def terminate(self):
        if self.alive() and not self.terminated:
            self.process.send_signal(signal.SIGTERM)
        self.terminated = True

    def stop(self):
        """Its exit code; a server that does not end within 15 s is killed."""
        self.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)
        return self.process.returncode


def start_pair(sextant, names, load, mode="explicit"):
    """Starts `sextant serve` and a real Triton with the same models; both are ready afterwards."""
    flags = ["--model-control-mode=" + mode]
    command = triton_command()
    if mode != "explicit":
        load = []
    # The Python backend runs the first python3 in PATH, which must have numpy: this one has.
    python_path = os.path.join(sys.prefix, "bin")
    triton = Server(
        "triton",
        command,
        names,
        "python",
        flags
        + [
            "--grpc-address=127.0.0.1",
            "--metrics-address=127.0.0.1",
            "--disable-auto-complete-config",
            "--exit-timeout-secs=5",
        ],
        {"PATH": python_path + os.pathsep + os.environ["PATH"]},
        load=load,
    )
    serve = None
    try:
        serve = Server("serve", [sextant, "serve"], names, "simulated", flags, load=load)
        serve.wait_ready()
        triton.wait_ready()
        return serve, triton
    except BaseException:
        triton.stop()
        if serve is not None:
            serve.stop()
        raise


def stop_pair(pair):
    """Stops both at the same time; their exit codes."""
    for server in pair:
        server.terminate()
    return [server.stop() for server in pair]
