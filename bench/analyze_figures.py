"""`sextant analyze` against NVIDIA's Model Analyzer, on a real Triton with a Python model whose best
configuration is known by construction (tests/peers/python_models/known_best.py)."""

import contextlib
import csv
import ctypes
import dataclasses
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time

from harness import ROOT, SEXTANT, Failure, progress
from results import Figure

PEERS = ROOT / 'tests' / 'peers'
MODEL = '''name: "known"
backend: "python"
max_batch_size: {batch_size}
input [ {{ name: "INPUT" data_type: TYPE_FP32 dims: [ 16 ] }} ]
output [ {{ name: "OUTPUT" data_type: TYPE_FP32 dims: [ 16 ] }} ]
instance_group [ {{ count: 1 kind: KIND_CPU }} ]
dynamic_batching {{ }}
'''


@dataclasses.dataclass(frozen=True)
class Space:
    """What both programs search: steps of one, and of powers of two, as Model Analyzer has them."""
    instances: tuple
    batch_sizes: tuple
    concurrencies: tuple
    best: dict  # the parameters of the model

    def ranked(self):
        """The configurations, (instances, max_batch_size), by the throughput they are made for."""
        def executions_take(instances, batch_size):
            slow_down = 1 + 0.6 * max(0, instances - self.best['best_instances'])
            slow_down *= 2 if batch_size > self.best['best_batch_size'] else 1
            return slow_down * (self.best['fixed_ms'] + self.best['item_ms'] * batch_size)
        every = [(k, b) for k in self.instances for b in self.batch_sizes]
        return sorted(every, key=lambda c: -c[0] * c[1] / executions_take(*c))

    def points(self):
        return len(self.instances) * len(self.batch_sizes) * len(self.concurrencies)


WHOLE = Space((2, 3, 4), (4, 8, 16), (1, 2, 4, 8, 16, 32, 64),
              {'best_instances': 3, 'best_batch_size': 8, 'fixed_ms': 20, 'item_ms': 2})
SMALL = Space((1, 2), (2,), (8,),
              {'best_instances': 3, 'best_batch_size': 8, 'fixed_ms': 20, 'item_ms': 2})


@dataclasses.dataclass
class Search:
    """What one program did."""
    seconds: float
    points: int
    configurations: int
    loads: int  # of the model, as Triton's log counts them
    named: tuple  # (instances, max_batch_size)

    def text(self):
        return (f'{self.points} points of {self.configurations} configurations in '
                f'{self.seconds:.0f} s with {self.loads} loads')


def write_repository(path, space):
    version = path / 'known' / '1'
    version.mkdir(parents=True)
    shutil.copy(PEERS / 'python_models' / 'known_best.py', version / 'model.py')
    text = MODEL.format(batch_size=1)
    for name, value in space.best.items():
        text += f'parameters {{ key: "{name}" value: {{ string_value: "{value}" }} }}\n'
    (path / 'known' / 'config.pbtxt').write_text(text)


def run_all_of_it(command, log, timeout):
    """Seconds that a program takes with the server and clients that it starts, which may use all
    cores. Nothing of it is left behind."""
    libc = ctypes.CDLL(None)
    with open(log, 'w') as output:
        begin = time.monotonic()
        process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL,
                                   stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
                                   cwd=log.parent,
                                   preexec_fn=lambda: libc.prctl(1, signal.SIGTERM))
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Failure(f'{command[0]} was not done after {timeout} s') from None
        finally:
            with contextlib.suppress(ProcessLookupError):  # its session has its process id
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        seconds = time.monotonic() - begin
    if code != 0:
        raise Failure(f'{command[0]} ended with {code}: {log.read_text()[-1500:]}')
    return seconds


def loads_in(folder):
    """How often Triton's logs in there say that it has loaded the model."""
    texts = [log.read_text(errors='replace') for log in folder.rglob('server.log*')]
    if not texts:
        raise Failure(f"no log of Triton's in {folder}")
    return sum(len(re.findall(r"successfully loaded 'known'", text)) for text in texts)


def ours(bench, space):
    folder = bench.file('.ours')
    write_repository(folder / 'models', space)
    out = folder / 'out'

    def axis(name, values):
        return f'{name}={",".join(map(str, values))}'
    seconds = run_all_of_it([
        SEXTANT, 'analyze', '-m', 'known', '--model-repository', folder / 'models',
        '--launch', 'local', '--server-program', PEERS / 'triton.sh',
        '--set', axis('instance_group.count', space.instances),
        '--set', axis('max_batch_size', space.batch_sizes),
        '-c', ','.join(map(str, space.concurrencies)), '-e', out], folder / 'log', 900)
    found = json.loads((out / 'results.json').read_text())
    best = found['ranking'][0]['settings']
    shutil.copy(out / 'journal.jsonl', bench.keep('analyze_journal.jsonl'))
    return Search(seconds, len(found['points']), len({p['configuration'] for p in found['points']}),
                  loads_in(folder),
                  (int(best.get('instance_group.count', 1)), int(best.get('max_batch_size', 1))))


def free_ports(count):
    """Below those that the kernel gives to clients: the server comes and goes for minutes, and one
    of its clients could have its port meanwhile."""
    found = []
    for port in range(18000, 32000):
        with contextlib.suppress(OSError), socket.socket() as s:
            s.bind(('127.0.0.1', port))
            found.append(port)
        if len(found) == count:
            return found
    raise Failure(f'{count} free ports could not be found')


def model_analyzer(bench, space, mode):
    """Its defaults, but for the space, which is bounded."""
    folder = bench.file(f'.{mode}')
    write_repository(folder / 'models', space)
    (folder / 'out').mkdir()
    http, grpc, metrics = free_ports(3)
    (folder / 'config.yaml').write_text(f'''
model_repository: {folder}/models
profile_models: {{ known: {{ cpu_only: true }} }}
triton_launch_mode: local
triton_server_path: {PEERS}/triton.sh
triton_output_path: {folder}/server.log
triton_http_endpoint: localhost:{http}
triton_grpc_endpoint: localhost:{grpc}
triton_metrics_url: http://localhost:{metrics}/metrics
perf_analyzer_path: {PEERS}/perf_analyzer.sh
output_model_repository_path: {folder}/variants
checkpoint_directory: {folder}/checkpoints
export_path: {folder}/out
run_config_search_mode: {mode}
run_config_search_min_instance_count: {min(space.instances)}
run_config_search_max_instance_count: {max(space.instances)}
run_config_search_min_model_batch_size: {min(space.batch_sizes)}
run_config_search_max_model_batch_size: {max(space.batch_sizes)}
run_config_search_min_concurrency: {min(space.concurrencies)}
run_config_search_max_concurrency: {max(space.concurrencies)}
''')
    shutil.rmtree(bench.keep(f'model_analyzer_{mode}'), ignore_errors=True)
    try:
        seconds = run_all_of_it([PEERS / 'model_analyzer.sh', 'profile', '-f',
                                 folder / 'config.yaml'], folder / 'log', 1800)
    finally:
        shutil.copytree(folder, bench.keep(f'model_analyzer_{mode}'), symlinks=True,
                        ignore=shutil.ignore_patterns('variants', 'models'))
    with open(folder / 'out' / 'results' / 'metrics-model-inference.csv') as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise Failure(f'Model Analyzer measured nothing: {(folder / "log").read_text()[-1500:]}')
    best = rows[0]  # the best is the first
    return Search(seconds, len(rows), len({row['Model Config Path'] for row in rows}),
                  loads_in(folder),
                  (int(best['Instance Group'].split(':')[0]), int(best['Max Batch Size'])))


def analyze(bench):
    space = SMALL if bench.quick else WHOLE
    ranked = space.ranked()

    def rank(search):
        return ranked.index(search.named) + 1 if search.named in ranked else len(ranked) + 1

    def named(search):
        return f'{search.named[0]} instances, max_batch_size {search.named[1]}'
    progress(f'analyze: sextant, {space.points()} points')
    mine = ours(bench, space)
    modes = (('brute', 0.2),) if bench.quick else (('brute', 0.2), ('quick', 0.5))
    for mode, limit in modes:
        progress(f'analyze: Model Analyzer, {mode}, {space.points()} points')
        theirs = model_analyzer(bench, space, mode)
        progress('')
        yield Figure('analyze', f'wall time of a search, of Model Analyzer\'s, {mode}',
                     mine.seconds / theirs.seconds, '×', limit,
                     detail=f'{mine.text()}, against {theirs.text()}')
        yield Figure('analyze', f'true rank of what Model Analyzer names, {mode}', rank(theirs), '',
                     detail=f'{named(theirs)}; of {len(ranked)}')
    yield Figure('analyze', 'true rank of what sextant analyze names', rank(mine), '', 1,
                 detail=f'{named(mine)}; of {len(ranked)}')
