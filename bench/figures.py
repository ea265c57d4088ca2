"""The benchmarks. Each is a function that yields Figures; the limits are those of issue 3."""

import base64
import json
import os
import re
import signal
import statistics
import subprocess
import time

from analyze_figures import analyze
from harness import (BUILD, NULL_MODEL, ROOT, SEXTANT, SIMULATED_MODEL, SWEEP_MODEL, TOOLS, Failure, Server,
                     paired, progress, quantile, ratio_of, run, spread)
from results import Figure

SEQUENCE_MODEL = NULL_MODEL.format(elements=16, out_elements=16) + 'sequence_batching { }\n'
INFER_PATH = '/v2/models/null/infer'
GRPC_PATH = '/inference.GRPCInferenceService/ModelInfer'


def closed_loop(bench, protocol, url, concurrency, connections=0, options=(), data='zero'):
    """CPU microseconds per request of a `sextant perf` run, the whole process included."""
    done, level, _ = bench.perf(protocol, url, '--input-data', data, '--concurrency-range',
                                concurrency, '--connections', connections, '--duration',
                                f'{bench.seconds}s', '--warmup', 0, *options)
    return done.cpu / level['succeeded'] * 1e6


# --- CPU per request against the floors ----------------------------------------------------------

def wrk_script(bench, request):
    """wrk sends these bytes, made once: as cheap as wrk can be."""
    text = request.read_bytes()
    quoted = ''.join(f'\\{byte:03d}' for byte in text)
    path = bench.file('.lua')
    path.write_text(f'wrk.format = function() return "{quoted}" end\n')
    return path


def against_wrk(bench, server, rows, remark='', group='http', data='zero', request=()):
    url = server.url('http')
    script = wrk_script(bench, bench.request_bytes('http', url, *request))

    def wrk(connections):
        for _ in range(3):  # on a busy machine it sometimes ends without a single request
            done = run(['wrk', '-t1', f'-c{connections}', f'-d{max(1, round(bench.seconds))}s',
                        '-s', script, f'http://{url}{INFER_PATH}'])
            count = int(re.search(r'(\d+) requests in', done.out).group(1))
            if count > 0 and 'Non-2xx' not in done.out:
                return done.cpu / count * 1e6
        raise Failure(f'wrk met errors: {done.out}')

    for c, limit in rows:
        ours, theirs = paired(bench, f'{group} http c={c}{remark}', lambda c=c: closed_loop(
            bench, 'http', url, c, data=data), lambda c=c: wrk(c))
        ratio, quartiles = ratio_of(ours, theirs)
        yield Figure(group, f'client CPU per request, of wrk\'s, c = {c}{remark}', ratio, '×',
                     limit, spread=quartiles, detail=f'{statistics.median(ours):.2f} against '
                     f'{statistics.median(theirs):.2f} µs')


def http(bench):
    with bench.serve() as server:
        yield from against_wrk(bench, server, ((1, 1.0), (16, 0.9), (64, 0.9)))


def h2load_run(url, message, connections, streams, count, scheme='http'):
    done = run(['h2load', '-t1', f'-c{connections}', f'-m{streams}', f'-n{count}', '-d', message,
                '-H', 'content-type: application/grpc', '-H', 'te: trailers',
                f'{scheme}://{url}{GRPC_PATH}'])
    succeeded = int(re.search(r'(\d+) succeeded', done.out).group(1))
    if succeeded != count:
        raise Failure(f'h2load met errors: {done.out}')
    return done


def against_h2load(bench, server, rows, remark='', group='grpc', more=(), data='zero',
                   request=()):
    url = server.url('grpc')
    message = bench.request_bytes('grpc', url, *request)
    for connections, streams, limit in rows:
        name = f'{connections}×{streams}'
        # About as many requests as ours, so that a start weighs as much on either side.
        options = ('--input-data', data, '--concurrency-range', connections * streams,
                   '--connections', connections, '--warmup', 0, *more)
        _, level, _ = bench.perf('grpc', url, '--duration', '0.3s', *options)
        count = max(100 * connections * streams,
                    round(level['request_rate_per_s']['value'] * bench.seconds))

        def theirs():
            return h2load_run(url, message, connections, streams, count).cpu / count * 1e6
        ours, floor = paired(bench, f'{group} {name}{remark}', lambda: closed_loop(
            bench, 'grpc', url, connections * streams, connections, more, data), theirs)
        ratio, quartiles = ratio_of(ours, floor)
        yield Figure(group, f'client CPU per request, of h2load\'s, {name}{remark}', ratio, '×',
                     limit, spread=quartiles, detail=f'{statistics.median(ours):.2f} against '
                     f'{statistics.median(floor):.2f} µs')


def grpc(bench):
    with bench.serve() as server:
        yield from against_h2load(bench, server, ((1, 1, 0.65), (16, 1, 0.65), (64, 1, 0.65),
                                                  (1, 16, 0.5), (1, 64, None)))
    with Server([TOOLS / 'uncoalesced_server']) as server:
        yield from against_h2load(bench, server, ((1, 16, 0.85), (1, 64, None)),
                                  ', a server that writes each response by itself')


def streaming(bench):
    """A streamed request and its response against h2load's unary call of the same bytes."""
    with bench.serve() as server:
        yield from against_h2load(bench, server, ((1, 1, 0.8), (16, 1, 0.8), (1, 16, 0.8)),
                                  ' of a stream', group='streaming', more=('--streaming',))


def modes(bench):
    """The same figures where no two requests are alike: 10 000 rows of data, and sequences."""
    directory = bench.file('.rows')
    directory.mkdir()
    (directory / 'INPUT').write_bytes(os.urandom(10_000 * 64))
    http_rows = (1, 1.0), (16, 0.9), (64, 0.9)
    grpc_rows = (1, 1, 0.65), (16, 1, 0.65), (64, 1, 0.65), (1, 16, 0.5)
    with bench.serve() as server:
        kind = {'remark': ', 10 000 rows', 'group': 'modes', 'data': directory}
        yield from against_wrk(bench, server, http_rows, **kind)
        yield from against_h2load(bench, server, grpc_rows, **kind)
    with bench.serve(SEQUENCE_MODEL) as server:
        # The others' requests, each the same, are sequences of one step.
        kind = {'remark': ', sequences', 'group': 'modes', 'request': ('sequence',)}
        yield from against_wrk(bench, server, http_rows, **kind)
        yield from against_h2load(bench, server, grpc_rows, **kind)


# --- TLS -----------------------------------------------------------------------------------------

def certificate(bench):
    """A server's own, and its key."""
    cert, key = bench.file('.pem'), bench.file('.key')
    run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
         '-nodes', '-days', 2, '-subj', '/CN=localhost', '-addext',
         'subjectAltName=DNS:localhost,IP:127.0.0.1', '-keyout', key, '-out', cert])
    return cert, key


def tls(bench):
    cert, key = certificate(bench)
    with bench.serve() as plain:
        request = bench.request_bytes('http', plain.url('http'))
        message = bench.request_bytes('grpc', plain.url('grpc'))
    trust = ('--ssl-https-ca-certificates-file', cert)
    with bench.serve(flags=('--tls-cert', cert, '--tls-key', key)) as server:
        script = wrk_script(bench, request)

        def ours(protocol, c):
            scheme, roots = ('https', trust) if protocol == 'http' else (
                'grpcs', ('--ssl-grpc-root-certifications-file', cert))
            done, level, _ = bench.perf(
                protocol, f'{scheme}://{server.url(protocol)}', '--input-data', 'zero',
                '--concurrency-range', c, '--connections', c, '--duration', f'{bench.seconds}s',
                '--warmup', 0, *roots)
            return done.cpu / level['succeeded'] * 1e6

        def wrk(c):
            done = run(['wrk', '-t1', f'-c{c}', f'-d{max(1, round(bench.seconds))}s', '-s', script,
                        f'https://{server.url("http")}{INFER_PATH}'])
            count = int(re.search(r'(\d+) requests in', done.out).group(1))
            if count == 0 or 'Non-2xx' in done.out:
                raise Failure(f'wrk met errors: {done.out}')
            return done.cpu / count * 1e6

        def h2load(c):
            count = 1000 * c if bench.quick else 20_000 * min(c, 4)
            return h2load_run(server.url('grpc'), message, c, 1, count,
                              'https').cpu / count * 1e6
        for protocol, name, theirs in (('http', 'wrk', wrk), ('grpc', 'h2load', h2load)):
            for c in (1, 16):
                mine, other = paired(bench, f'tls {protocol} c={c}',
                                     lambda p=protocol, c=c: ours(p, c), lambda t=theirs, c=c: t(c))
                ratio, quartiles = ratio_of(mine, other)
                yield Figure('tls', f'client CPU per request under TLS, of {name}\'s, c = {c}',
                             ratio, '×', 1.0, spread=quartiles,
                             detail=f'{statistics.median(mine):.2f} against '
                             f'{statistics.median(other):.2f} µs')


def inference_count(url):
    """What the server itself has counted."""
    import urllib.request
    with urllib.request.urlopen(f'http://{url}/v2/models/null/stats', timeout=10) as answer:
        return json.load(answer)['model_stats'][0]['inference_count']


def perf_analyzer_cost(bench, protocol, server, options, timeout, wanted=1):
    """CPU microseconds per request of a perf_analyzer run, or None when it sent fewer than wanted.

    Which requests were sent in all, only the server knows: perf_analyzer counts those of its stable
    windows. One that is still sorting its records when the time is over is stopped, and has cost
    what it has cost."""
    before = inference_count(server.url('http'))
    done = run([ROOT / 'tests' / 'peers' / 'perf_analyzer.sh', '-m', 'null', '-i', protocol, '-u',
                server.url(protocol), '--input-data', 'zero', *options],
               accept=(0, 2, 99, -signal.SIGKILL), timeout=timeout)
    count = inference_count(server.url('http')) - before
    return done.cpu / count * 1e6 if count >= wanted else None


def as_it_comes(bench, protocol, server, concurrency):
    """Both programs as a user starts them: their own windows, their own end."""
    levels = ['--concurrency-range', concurrency]

    def ours():
        done, level, _ = bench.perf(protocol, server.url(protocol), '--input-data', 'zero', *levels)
        return done.cpu / level['succeeded'] * 1e6

    def theirs():
        return perf_analyzer_cost(bench, protocol, server, levels, 5 if bench.quick else 40)
    return paired(bench, f'peer {protocol} c={concurrency}', ours, theirs, pairs=3)


def few_requests(bench, protocol, server, concurrency):
    """perf_analyzer at its best: so few requests that what it does after a window, which grows with
    the square of their number, hardly counts."""
    requests = 1000 if bench.quick else 8000

    def theirs():
        options = ['--concurrency-range', concurrency, '--request-count', requests]
        for _ in range(5):  # now and then it never ends
            cost = perf_analyzer_cost(bench, protocol, server, options, 20, wanted=requests)
            if cost is not None:
                return cost
        raise Failure('perf_analyzer did not come to an end in five attempts')
    return paired(bench, f'peer {protocol} c={concurrency}, few requests',
                  lambda: closed_loop(bench, protocol, server.url(protocol), concurrency), theirs,
                  pairs=5)


def bare_loop(bench, protocol, server):
    """perf_analyzer at one request in flight against a loop of one send, one wait and one receive:
    what no client on a socket can go below."""
    count = 20_000
    request = bench.request_bytes(protocol, server.url(protocol))

    def bare():
        done = run([TOOLS / 'bare_client', protocol, server.ports[protocol], 1, 1, count, request])
        return done.cpu / count * 1e6
    return paired(bench, f'peer {protocol} bare', bare, lambda: perf_analyzer_cost(
        bench, protocol, server, ['--concurrency-range', 1], 5 if bench.quick else 40), pairs=3)


def peer(bench):
    def figure(what, pairs, limit):
        ratio, quartiles = ratio_of(*pairs)
        return Figure('peer', what, ratio, '×', limit, spread=quartiles,
                      detail=f'{statistics.median(pairs[0]):.2f} against '
                      f'{statistics.median(pairs[1]):.1f} µs, 1/{1 / ratio:.1f}')
    name = 'client CPU per request, of perf_analyzer\'s'
    concurrencies = (16,) if bench.quick else (1, 16, 64)
    with bench.serve() as server:
        for protocol in ('http', 'grpc'):
            for c in concurrencies:
                yield figure(f'{name}, {protocol}, c = {c}',
                             as_it_comes(bench, protocol, server, c), 0.125)
            for c in concurrencies:
                yield figure(f'{name}, {protocol}, c = {c}, few requests',
                             few_requests(bench, protocol, server, c), None)
            if not bench.quick:
                yield figure(f'a bare loop\'s CPU per request, of perf_analyzer\'s, {protocol}, '
                             'c = 1', bare_loop(bench, protocol, server), None)


def sweep(bench):
    """Eight levels as both programs measure them unasked: how long it takes, and how well the
    throughput is known then. perf_analyzer states no interval, but that its last three windows are
    within its stability threshold of each other, by default 10 % to either side. What those windows
    would give by Student's t stands beside it: from five times our time, it can be narrower."""
    levels = 2 if bench.quick else 8
    path = bench.file('.run')
    with bench.serve(SWEEP_MODEL) as server:
        url = server.url('http')
        progress(f'sweep: sextant, {levels} levels')
        begin = time.monotonic()
        run([SEXTANT, 'perf', '-m', 'null', '-u', url, '--concurrency-range', f'1:{levels}',
             '--quiet', '--progress', 'none', '-o', path])
        seconds = time.monotonic() - begin
        progress(f'sweep: perf_analyzer, {levels} levels')
        begin = time.monotonic()
        done = run([ROOT / 'tests' / 'peers' / 'perf_analyzer.sh', '-m', 'null', '-u', url, '-v',
                    '--concurrency-range', f'1:{levels}'], timeout=600)
        peer_seconds = time.monotonic() - begin
    progress('')
    ours = [level['throughput_per_s'] for level in map(json.loads, path.read_text().splitlines())
            if level['type'] == 'level']
    widths = [v['half_width'] / v['value'] for v in ours if v['known']]
    peer_widths = []
    for text in done.out.split('Request concurrency:')[1:]:
        windows = [float(v) for v in re.findall(r'Pass \[\d+\] throughput: ([\d.]+)', text)][-3:]
        if len(windows) == 3:
            peer_widths.append(4.303 * statistics.stdev(windows) / 3 ** 0.5
                               / statistics.mean(windows))
    if len(widths) != levels or len(peer_widths) != levels:
        raise Failure(f'{len(widths)} and {len(peer_widths)} of {levels} levels: {done.out}')
    yield Figure('sweep', f'time for {levels} levels, of perf_analyzer\'s', seconds / peer_seconds,
                 '×', 0.25, detail=f'{seconds:.0f} against {peer_seconds:.0f} s')
    width = statistics.median(widths)
    yield Figure('sweep', 'half width of the throughput\'s 95 % interval, of perf_analyzer\'s '
                 'stability threshold, median of the levels', width / 0.1, '×', 1,
                 detail=f'{100 * width:.2f} against 10 %')
    yield Figure('sweep', 'the same, of an interval from perf_analyzer\'s three windows',
                 width / statistics.median(peer_widths), '×', None,
                 detail=f'{100 * width:.2f} against {100 * statistics.median(peer_widths):.2f} %')


# --- What measuring costs ------------------------------------------------------------------------

def collected(command, function, without=()):
    """Instructions of user code in and below a function, less those below other functions."""
    toggles = [f'--toggle-collect={f}' for f in (function, *without)]
    done = run(['valgrind', '--tool=callgrind', *toggles, '--callgrind-out-file=/dev/null',
                *command])
    return int(re.search(r'Collected : (\d+)', done.err).group(1))


# What a worker does every 100 ms. Valgrind makes a program fifty times slower, so that it would
# count fifty times as often per request as it happens.
PER_BLOCK = 'sextant::load::Recorder::Roll*'


def instructions(bench):
    n = 500 if bench.quick else 10000
    shapes = [('http', 16, 1), ('grpc', 16, 1)]
    if not bench.quick:
        shapes += [('grpc', 1, 16), ('http', 1, 1), ('grpc', 1, 1)]
    with bench.serve() as server:
        for protocol, connections, streams in shapes:
            url = server.url(protocol)
            request = bench.request_bytes(protocol, url)

            # Between n and 2n requests lies only the steady state.
            def bare(count):
                return collected([TOOLS / 'bare_client', protocol, server.ports[protocol],
                                  connections, streams, count, request],
                                 '*RunLoop(int*')

            def engine(count):
                return collected([SEXTANT, 'perf', '-m', 'null', '-i', protocol, '-u', url,
                                  '--input-data', 'zero', '--quiet', '--progress', 'none',
                                  '--workers', 1, '--warmup', 0, '--connections', connections,
                                  '--concurrency-range', connections * streams, '--requests',
                                  count], 'sextant::load::Worker::Run()', [PER_BLOCK])
            progress(f'instructions {protocol} {connections}×{streams}')
            per_bare = (bare(2 * n) - bare(n)) / n
            per_engine = (engine(2 * n) - engine(n)) / n
            progress('')
            yield Figure('instructions', f'per request beyond a bare client, {protocol} '
                         f'{connections}×{streams}', per_engine - per_bare, '', 1500,
                         detail=f'{per_engine:.0f} against {per_bare:.0f}')


def allocations(bench):
    n = 2000 if bench.quick else 200_000
    with bench.serve() as server:
        for protocol, c, connections, *more in (('http', 16, 0), ('grpc', 16, 16), ('grpc', 16, 1),
                                                ('grpc', 16, 1, '--streaming')):
            progress(f'allocations {protocol}')
            counts = []
            for requests in (n, 2 * n):
                path = bench.file('.json')
                bench.perf(protocol, server.url(protocol), '--input-data', 'zero', '--warmup', 0,
                           '--concurrency-range', c, '--connections', connections, '--requests',
                           requests, *more,
                           env={'LD_PRELOAD': str(TOOLS / 'bench_probe.so'),
                                'BENCH_ALLOCATIONS': str(path)})
                counts.append(json.loads(path.read_text()))
            progress('')
            further = counts[1]['load'] - counts[0]['load']
            every = counts[1]['all'] - counts[0]['all']
            yield Figure('allocations', f'per request on load threads, {protocol}, c = {c}'
                         + (f' on {connections}' if connections else '')
                         + (', streams' if more else ''), further / n, '', 0.001,
                         detail=f'{further} for {n} further requests; {every} in all threads')


# --- Time ----------------------------------------------------------------------------------------

def open_loop(bench):
    with bench.serve() as server:
        for protocol, law in (('http', 'constant'), ('http', 'poisson'), ('grpc', 'constant')):
            for spin in (False, True):
                yield from open_loop_figures(bench, server, protocol, law, spin)


def open_loop_figures(bench, server, protocol, law, spin):
    """The median of three runs: one that the hypervisor takes the core from says nothing of us."""
    rate, seconds, how = 10_000, 1 if bench.quick else 30, f'{protocol}, {law}'
    how += ', --spin' if spin else ''
    runs = []
    for i in range(1 if bench.quick else 3):
        progress(f'open loop {how}: run {i + 1}, {seconds} s')
        stamps = bench.file('.stamps')
        _, level, _ = bench.perf(protocol, server.url(protocol), '--input-data', 'zero',
                                 '--request-rate-range', rate, '--request-distribution', law,
                                 '--duration', f'{seconds}s', '--warmup', 0, '--seed', 7 + i,
                                 *(['--spin'] if spin else []),
                                 env={'LD_PRELOAD': str(TOOLS / 'bench_probe.so'),
                                      'BENCH_SENDS': str(stamps)})
        progress('')
        runs.append((quantile(level['slip_ns'], 0.99) / 1e3, level['slip_ns'], stamps))
    runs.sort(key=lambda entry: entry[0])
    p99, slip, stamps = runs[len(runs) // 2]
    yield Figure('open_loop', f'slip p99 at {rate}/s, {how}', p99, 'µs', 50 if spin else 250,
                 detail=f'p50 {quantile(slip, 0.5) / 1e3:.1f}, p99.9 '
                 f'{quantile(slip, 0.999) / 1e3:.0f}, max {slip["max"] / 1e3:.0f} µs; p99 of '
                 f'the runs: {", ".join(f"{entry[0]:.0f}" for entry in runs)}')
    if protocol == 'http':  # several gRPC requests may leave in one send
        yield from arrivals(bench, law, rate, stamps, how)


def arrivals(bench, law, rate, stamps, how):
    group = 10 if bench.quick else 100
    test = json.loads(run([TOOLS / 'arrivals_law', law, rate, group, stamps]).out)
    times = test['times']
    yield Figure('open_loop', f'Kolmogorov-Smirnov, arrival times, {how}', times['probability'],
                 'p', 0.01, at_least=True, detail=f'{test["arrivals"]} arrivals, '
                 f'{test["rate"]:.1f}/s, distance {times["distance"]:.5f}'
                 + (f', 99 % within {test["spread_99_us"]:.0f} µs' if law == 'constant' else ''))
    if law == 'poisson':
        yield Figure('open_loop', f'Kolmogorov-Smirnov, time over {group} arrivals, {how}',
                     test['gaps']['probability'], 'p', 0.01, at_least=True,
                     detail=f'distance {test["gaps"]["distance"]:.5f}; of single gaps '
                     f'{test["single_gaps"]["distance"]:.5f}')


def latency(bench):
    with bench.serve() as server:
        url = server.url('http')
        request = bench.request_bytes('http', url)

        def ours():
            _, level, _ = bench.perf('http', url, '--input-data', 'zero', '--concurrency-range', 1,
                                     '--duration', f'{bench.seconds}s', '--warmup', 0)
            return quantile(level['latency_ns']['histogram'], 0.5) / 1e3

        def bare():
            done = run([TOOLS / 'blocking_client', server.ports['http'], bench.seconds, request])
            return json.loads(done.out)['p50_us']
        engine, blocking = paired(bench, 'latency', ours, bare)
        more = [a - b for a, b in zip(engine, blocking)]
        yield Figure('latency', 'p50 beyond a blocking socket\'s, c = 1', statistics.median(more),
                     'µs', 5, spread=spread(more), detail=f'{statistics.median(engine):.1f} against '
                     f'{statistics.median(blocking):.1f} µs')


# --- Memory and size -----------------------------------------------------------------------------

def resident_bytes(pid):
    """Of a living process; None once it has gone."""
    try:
        with open(f'/proc/{pid}/statm') as file:
            return int(file.read().split()[1]) * os.sysconf('SC_PAGESIZE')
    except (OSError, IndexError):
        return None


def watched(bench, what, seconds, protocol, url, *options, **kwargs):
    """Runs a level and samples its memory. Returns the process, level, header and
    (time, bytes) pairs."""
    samples, begin = [], time.monotonic()

    def sample(pid):
        size = resident_bytes(pid)
        elapsed = time.monotonic() - begin
        if size:
            samples.append((elapsed, size))
        progress(f'{what}: {elapsed:.0f} of {seconds} s')
    done, level, header = bench.perf(
        protocol, url, '--duration', f'{seconds}s', *options,
        while_running=sample, timeout=seconds + 120, **kwargs)
    progress('')
    return done, level, header, samples


def memory_figures(name, what, finished):
    """Peak, and growth from the third to the last quarter: the time series has its size by then."""
    done, level, header, samples = finished
    found = re.search(r'(\d+) rows', header['data'])
    rows = int(found.group(1)) if found else 1
    payload = rows * int(level['client']['bytes_sent'] / max(1, level['succeeded'])) / 2**20
    count = len(samples)
    third = [size for _, size in samples[count // 2:count * 3 // 4]]
    last = [size for _, size in samples[count * 3 // 4:-1]]
    grown = (statistics.median(last) - statistics.median(third)) / 2**20 if third and last else 0
    rate = level['request_rate_per_s']['value']
    yield Figure(name, f'resident memory, {what}', done.peak_bytes / 2**20, 'MiB', 64 + payload,
                 detail=f'64 MiB and {payload:.1f} MiB of payload; {rate:,.0f} requests/s'
                 .replace(',', ' '))
    yield Figure(name, f'its growth from the third to the last quarter, {what}', grown, 'MiB', 1)


def large(bench):
    elements, seconds = 150_000, 1 if bench.quick else 60
    model = NULL_MODEL.format(elements=elements, out_elements=16)
    with bench.serve(model) as server:
        for protocol in ('http', 'grpc'):
            finished = watched(bench, f'large {protocol}', seconds, protocol, server.url(protocol),
                               '--concurrency-range', 16, '--warmup', 0)
            yield from memory_figures('large', f'600 KB inputs, {protocol}, c = 16', finished)


def long(bench):
    seconds = 2 if bench.quick else round(60 * bench.minutes)
    with bench.serve() as server:
        finished = watched(bench, 'long', seconds, 'http', server.url('http'),
                           '--concurrency-range', 64, '--warmup', 0)
        yield from memory_figures('long', f'{seconds} s at full rate, http, c = 64', finished)


def many(bench):
    concurrency, seconds = (500, 1) if bench.quick else (10_000, 10)
    with bench.serve(SIMULATED_MODEL) as server:
        for protocol in ('http', 'grpc'):
            finished = watched(bench, f'many {protocol}', seconds, protocol, server.url(protocol),
                               '--concurrency-range', concurrency, '--warmup', '1s', workers=2)
            level = finished[1]
            yield Figure('many', f'in flight on two workers, {protocol}, wanted {concurrency}',
                         level['in_flight_mean'], '', 0.99 * concurrency, at_least=True,
                         detail=f'{level["client"]["connections"]} connections, '
                         f'{level["succeeded"]} answered, {level["failed"]} failed, p50 '
                         f'{quantile(level["latency_ns"]["histogram"], 0.5) / 1e6:.0f} ms, Little '
                         f'{level["little_ratio"] or 0:.3f}')
            yield next(memory_figures('many', f'c = {concurrency}, {protocol}', finished))


# --- Input data ----------------------------------------------------------------------------------

def write_rows(bench, rows, row_bytes):
    """The same rows as a directory with a raw file, and as perf_analyzer's JSON."""
    directory = bench.file('.rows')
    directory.mkdir()
    json_file = bench.file('.json')
    with open(directory / 'INPUT', 'wb') as raw, open(json_file, 'w') as text:
        text.write('{"data":[')
        for i in range(rows):
            row = os.urandom(row_bytes)
            raw.write(row)
            text.write((',' if i else '') + '{"INPUT":{"b64":"' + base64.b64encode(row).decode()
                       + '"}}\n')
        text.write(']}')
    return directory, json_file


def anonymous_bytes(pid):
    """Resident memory that no file stands behind."""
    try:
        with open(f'/proc/{pid}/status') as file:
            return int(re.search(r'RssAnon:\s+(\d+) kB', file.read()).group(1)) * 1024
    except (OSError, AttributeError):
        return 0


def first_request(server, command, accept=(0,)):
    """Runs a program; seconds until the server has counted its first inference, to a tenth of a
    second, and the most memory that it held meanwhile and after."""
    url, begin = server.url('http'), time.monotonic()
    before = inference_count(url)
    seen, most = [], [0]

    def watch(pid):
        most[0] = max(most[0], anonymous_bytes(pid))
        if not seen and inference_count(url) > before:
            seen.append(time.monotonic() - begin)
    run(command, accept=accept, timeout=600, while_running=watch)
    return (seen[0] if seen else time.monotonic() - begin), most[0]


def data(bench):
    row_bytes = 600_000
    rows = (10**8 if bench.quick else 10**9) // row_bytes
    progress('data: writing 1 GB twice')
    directory, json_file = write_rows(bench, rows, row_bytes)
    with bench.serve(NULL_MODEL.format(elements=row_bytes // 4, out_elements=16)) as server:
        def ours(source):
            progress(f'data: sextant, {source}')
            return first_request(server, [
                SEXTANT, 'perf', '-m', 'null', '-u', server.url('http'), '--input-data', source,
                '--duration', '2s', '--warmup', 0, '--workers', 1, '--quiet', '--progress', 'none'])

        def theirs():
            progress('data: perf_analyzer')
            return first_request(server, [
                ROOT / 'tests' / 'peers' / 'perf_analyzer.sh', '-m', 'null', '-u',
                server.url('http'), '--input-data', json_file, '--request-count', 10],
                accept=(0, 2))
        # In turn, and the median: whoever is the first to need a gigabyte may wait for a
        # virtual machine's host to find it.
        os.sync()
        raw, text, peer = [], [], []
        for _ in range(1 if bench.quick else 3):
            raw.append(ours(directory))
            text.append(ours(json_file))
            peer.append(theirs())
        seconds, json_seconds, peer_seconds = (
            statistics.median(run_seconds for run_seconds, _ in runs) for runs in (raw, text, peer))
        anonymous = max(most for _, most in raw)
    progress('')
    size = f'{rows * row_bytes / 1e9:.1f} GB in {rows} rows'
    yield Figure('data', 'time to the first request, raw files, of perf_analyzer\'s with JSON, '
                 + size, seconds / peer_seconds, '×', 0.2,
                 detail=f'{seconds:.1f} against {peer_seconds:.1f} s; it takes only JSON for several '
                 'rows')
    yield Figure('data', 'the same, both with the same JSON', json_seconds / peer_seconds, '×', 0.2,
                 detail=f'{json_seconds:.1f} against {peer_seconds:.1f} s')
    yield Figure('data', 'resident memory beside the mapped files, raw files, ' + size,
                 anonymous / 2**20, 'MiB', 64)


# --- The search of `sextant analyze` -------------------------------------------------------------

def search(bench):
    """Seconds measured on simulated surfaces, against Model Analyzer's searches on the same."""
    tool, seeds = TOOLS / 'search_surfaces', 20 if bench.quick else 500
    for surface in ('peaked', 'ridge', 'cliff', 'flat'):
        told = json.loads(run([tool, surface, seeds]).out)
        detail = (f'{told["explored_s"]:.0f} s, with the confirmation {told["total_s"]:.0f} s; brute force '
                  f'{told["brute_s"]:.0f} s, quick search {told["quick_s"]:.0f} s')
        yield Figure('search', f'measured seconds, of brute force\'s, {surface}',
                     told['explored_of_brute'], '×', 0.1, detail=detail)
        yield Figure('search', f'measured seconds, of quick search\'s, {surface}',
                     told['explored_of_quick'], '×', 0.5)
        yield Figure('search', f'measured seconds with the confirmation, of brute force\'s, {surface}',
                     told['total_of_brute'], '×')
        yield Figure('search', f'runs that end beyond 3 % of the best, {surface}', told['missed'], '',
                     0.05, detail=f'{seeds} seeds; brute force {told["brute_missed"]:.3f}, quick search '
                     f'{told["quick_missed"]:.3f}')
        yield Figure('search', f'false winners, {surface}', told['false_wins'], '', 0.05,
                     detail=f'wins {told["wins"]:.3f}, ties {told["ties"]:.3f}')
    for surface in ('peaked', 'ridge', 'cliff', 'flat'):
        told = json.loads(run([tool, surface, seeds, 'p99<50ms']).out)
        detail = (f'{seeds} seeds; {told["explored_s"]:.0f} s, {told["explored_of_brute"]:.3f} of brute '
                  f'force\'s; {told["missed"]:.3f} end beyond 3 % of the best or over the limit, brute '
                  f'force {told["brute_missed"]:.3f}, quick search {told["quick_missed"]:.3f}')
        yield Figure('search', f'false winners with p99 < 50 ms, {surface}', told['false_wins'], '',
                     0.05, detail=detail)
    told = json.loads(run([tool, 'scale']).out)
    detail = f'{told["trials"]} trials, {told["regret"] * 100:.1f} % from the best'
    yield Figure('search', f'CPU time to decide, {told["points"]} points', told['cpu_s'], 's', 1,
                 detail=detail)
    yield Figure('search', f'memory, {told["points"]} points', told['process_mib'], 'MiB', 200)


def program(bench):
    times = []
    for _ in range(5 if bench.quick else 50):
        begin = time.perf_counter()
        with open(os.devnull, 'w') as null:
            pid = os.posix_spawn(SEXTANT, [str(SEXTANT), '--version'], os.environ,
                                 file_actions=[(os.POSIX_SPAWN_DUP2, null.fileno(), 1)])
            _, status = os.waitpid(pid, 0)
        times.append((time.perf_counter() - begin) * 1e3)
        if status != 0:
            raise Failure('sextant --version failed')
    yield Figure('program', 'sextant --version, median', statistics.median(times), 'ms', 10,
                 spread=spread(times), detail=f'{len(times)} runs')
    stripped = bench.file('.stripped')
    subprocess.run(['strip', '-o', stripped, SEXTANT], check=True)
    yield Figure('program', 'stripped binary', stripped.stat().st_size / 2**20, 'MiB', 30 / 1.048576)


SIMULATED_GPU = '''gpu gpm=yes memory=141GiB
utilization constant 0.5
memory_utilization constant 0.2
memory_used constant 20GiB
bar1_used constant 1GiB
power constant 400
temperature constant 60
sm_clock constant 1980e6
memory_clock constant 2619e6
throttle constant 0
sm_active constant 0.5
sm_occupancy constant 0.3
tensor_active constant 0.2
dram_active constant 0.4
process 1 16GiB
'''


def gpus(bench):
    """Eight simulated GPUs at 10 Hz, all that the sampler asks for."""
    scenario = bench.file('.gpus')
    scenario.write_text(SIMULATED_GPU * 8)
    library = BUILD / 'nvml_sim' / 'libnvidia-ml-sim.so'
    runs = []
    for _ in range(1 if bench.quick else 3):
        done = run([TOOLS / 'gpu_sampler', library, 1 if bench.quick else 10],
                   env={'SEXTANT_NVML_SIM': str(scenario)})
        runs.append(json.loads(done.out))
    shares = [100 * r['cpu_share'] for r in runs]
    yield Figure('gpus', 'CPU of sampling 8 simulated GPUs at 10 Hz', statistics.median(shares),
                 '% of a core', 0.5, spread=spread(shares),
                 detail=f'{runs[0]["calls_per_s"]:.0f} driver calls per second')


ALL = {f.__name__: f for f in (program, http, grpc, streaming, modes, tls, peer, sweep,
                               instructions, allocations, latency, open_loop, large, data, many,
                               search, gpus, analyze, long)}
