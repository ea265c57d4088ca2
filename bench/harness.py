"""What every benchmark needs: pinned processes, servers, CPU per request, paired runs."""

import ctypes
import fcntl
import json
import os
import pathlib
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get('SEXTANT_BENCH_BUILD', ROOT / 'build' / 'release'))
SEXTANT = BUILD / 'bin' / 'sextant'
TOOLS = BUILD / 'bench'

_cores = sorted(os.sched_getaffinity(0))
SERVER_CORE = _cores[0]
CLIENT_CORE = _cores[1] if len(_cores) > 1 else _cores[0]


class Failure(Exception):
    """A benchmark could not be run; the text says why and what to do."""


def say(text):
    print(text, flush=True)


def progress(text):
    """What is being measured, on a terminal; gone with the next line."""
    if sys.stderr.isatty():
        sys.stderr.write('\r\033[K' + text)
        sys.stderr.flush()


def bring_up_loopback():
    """A new network namespace has its loopback down."""
    sioc_get_flags, sioc_set_flags, up = 0x8913, 0x8914, 0x1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        request = fcntl.ioctl(s, sioc_get_flags, struct.pack('16sh14x', b'lo', 0))
        flags = struct.unpack('16sh14x', request)[1]
        if not flags & up:
            fcntl.ioctl(s, sioc_set_flags, struct.pack('16sh14x', b'lo', flags | up))


def _prepare(core):
    death_signal = 1  # PR_SET_PDEATHSIG: nothing outlives the benchmark
    libc = ctypes.CDLL(None)

    def before_exec():
        libc.prctl(death_signal, signal.SIGKILL)
        os.sched_setaffinity(0, {core})
    return before_exec


class Finished:
    """A process that has ended."""

    def __init__(self, code, usage, wall, out, err):
        self.code, self.wall, self.out, self.err = code, wall, out, err
        self.cpu = usage.ru_utime + usage.ru_stime
        self.peak_bytes = usage.ru_maxrss * 1024


def run(command, core=CLIENT_CORE, env=None, timeout=120, while_running=None, accept=(0,)):
    """Runs a program to its end, pinned to a core. Its CPU time is the kernel's account of exactly
    that process. `while_running(pid)` is called in a thread of its own, about every 0.1 s."""
    command = [str(c) for c in command]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begin = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                   preexec_fn=_prepare(core), env={**os.environ, **(env or {})})
        ended = threading.Event()
        killer = threading.Timer(timeout, process.kill)
        killer.start()

        def watch():
            while not ended.wait(0.1):
                while_running(process.pid)
        watcher = threading.Thread(target=watch) if while_running else None
        if watcher:
            watcher.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        killer.cancel()
        ended.set()
        if watcher:
            watcher.join()
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().decode(errors='replace'))
    finished = Finished(process.returncode, usage, wall, *texts)
    if finished.code not in accept:
        raise Failure(f'{" ".join(command)}\n  ended with {finished.code} after {wall:.1f} s: '
                      f'{(finished.err or finished.out).strip()[-600:]}')
    return finished


class Server:
    """A server on free ports, pinned to the server's core, stopped at the end of the block."""

    def __init__(self, command):
        self.command = [str(c) for c in command]

    def __enter__(self):
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=self.log, text=True,
                                        preexec_fn=_prepare(SERVER_CORE))
        self.ports = {}
        for line in self.process.stdout:
            if line.strip() == 'ready':
                return self
            service, _, address = line.split()
            self.ports[service] = int(address.rpartition(':')[2])
        self.log.seek(0)
        raise Failure(f'{" ".join(self.command)} did not start: {self.log.read().decode()}')

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.log.close()

    def url(self, protocol):
        return f'127.0.0.1:{self.ports[protocol]}'


NULL_MODEL = '''backend: "null"
max_batch_size: 64
input {{ name: "INPUT" data_type: TYPE_FP32 dims: {elements} }}
output {{ name: "OUTPUT" data_type: TYPE_FP32 dims: {out_elements} }}
'''

SIMULATED_MODEL = '''backend: "simulated"
max_batch_size: 4096
input { name: "INPUT" data_type: TYPE_FP32 dims: 16 }
output { name: "OUTPUT" data_type: TYPE_FP32 dims: 16 }
instance_group [ { count: 4 kind: KIND_CPU } ]
dynamic_batching { }
parameters { key: "service_time" value: { string_value: "200ms" } }
'''


SWEEP_MODEL = '''backend: "simulated"
input { name: "INPUT" data_type: TYPE_FP32 dims: 16 }
output { name: "OUTPUT" data_type: TYPE_FP32 dims: 16 }
instance_group [ { count: 4 kind: KIND_CPU } ]
parameters { key: "service_time" value: { string_value: "lognormal(5ms, 0.3)" } }
'''


class Bench:
    """One run of the script: how long things take, where files go."""

    def __init__(self, directory, quick, minutes):
        self.directory = pathlib.Path(directory)
        self.quick = quick
        self.minutes = minutes  # of the benchmark `long`
        self.pairs = 1 if quick else 9
        self.seconds = 0.3 if quick else 2.0
        self._files = 0

    def file(self, suffix=''):
        self._files += 1
        return self.directory / f'{self._files}{suffix}'

    def keep(self, name):
        """The path of a file that stays when the run is over."""
        TOOLS.mkdir(parents=True, exist_ok=True)
        return TOOLS / name

    def serve(self, config=None, name='null', flags=()):
        repository = self.directory / f'repository-{self._files}'
        self._files += 1
        (repository / name).mkdir(parents=True)
        text = config or NULL_MODEL.format(elements=16, out_elements=16)
        (repository / name / 'config.pbtxt').write_text(text)
        return Server([SEXTANT, 'serve', '--model-repository', repository, '--http-address',
                       '127.0.0.1', '--http-port', 0, '--grpc-port', 0, '--allow-metrics=false',
                       '--http-thread-count', 1, *flags])

    def request_bytes(self, protocol, url, *options, elements=16):
        """The engine's own request, in a file."""
        path = self.file('.request')
        run([TOOLS / 'request_bytes', protocol, url, elements, path, *options])
        return path

    def perf(self, protocol, url, *options, model='null', workers=1, **kwargs):
        """Runs `sextant perf` for one level; returns the process and the level of its run file."""
        path = self.file('.run')
        done = run([SEXTANT, 'perf', '-m', model, '-i', protocol, '-u', url, '--quiet',
                    '--progress', 'none', '--workers', workers, '-o', path, *options], **kwargs)
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        levels = [line for line in lines if line['type'] == 'level']
        if len(levels) != 1 or levels[0]['succeeded'] == 0 or levels[0]['failed'] > 0:
            raise Failure(f'sextant perf measured nothing, or met errors: {done.out}{done.err}')
        return done, levels[0], lines[0]


def quantile(histogram, p):
    """A quantile of a run file's histogram (src/stats/histogram.h has the layout)."""
    bits, flat = histogram['precision_bits'], histogram['buckets']
    buckets = list(zip(flat[::2], flat[1::2]))
    rank = p * sum(count for _, count in buckets)
    seen = 0
    for index, count in buckets:
        seen += count
        if seen >= rank:
            exponent = max(0, (index >> bits) - 1)
            low = (index - (exponent << bits)) << exponent
            middle = low + ((1 << exponent) - 1) / 2
            return min(max(middle, histogram['min']), histogram['max'])
    return float(histogram['max'])


def paired(bench, label, ours, theirs, pairs=None):
    """Runs both in turn, each first every other time; what the machine does meanwhile meets both.
    Returns the two lists, pair by pair."""
    a, b = [], []
    pairs = min(pairs or bench.pairs, bench.pairs)
    for pair in range(pairs):
        progress(f'{label}: pair {pair + 1} of {pairs}')
        for side, into in ((ours, a), (theirs, b)) if pair % 2 == 0 else ((theirs, b), (ours, a)):
            into.append(side())
    progress('')
    return a, b


def ratio_of(a, b):
    """The median of the pairs' ratios, with the quartiles."""
    ratios = sorted(x / y for x, y in zip(a, b))
    return statistics.median(ratios), spread(ratios)


def spread(values):
    if len(values) < 4:
        return (min(values), max(values))
    quartiles = statistics.quantiles(values, n=4)
    return (quartiles[0], quartiles[2])
