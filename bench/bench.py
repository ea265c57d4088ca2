"""Runs the benchmarks; scripts/bench.sh is how to call it."""

import argparse
import shutil
import sys
import tempfile

import figures
import harness
import results

PROGRAMS = {'http': ['wrk'], 'grpc': ['h2load'], 'tls': ['wrk', 'h2load', 'openssl'],
            'instructions': ['valgrind'],
            'program': ['strip']}


def arguments():
    names = ' '.join(figures.ALL)
    parser = argparse.ArgumentParser(
        prog='scripts/bench.sh', formatter_class=argparse.RawDescriptionHelpFormatter,
        description='Measures what Sextant costs and prints each figure beside its limit.\n'
        f'Benchmarks: {names}.\n'
        'A run of all writes its table to docs/performance.md; every run writes '
        'build/release/bench/results.json.\n'
        'Exit codes: 0 all limits hold; 1 a limit is missed; 2 could not measure.')
    parser.add_argument('benchmark', nargs='*', help='which (default: all)')
    parser.add_argument('--quick', action='store_true',
                        help='two minutes: does everything run? Limits are not looked at')
    parser.add_argument('--minutes', type=float, default=10, help='of `long` (default: 10)')
    parser.add_argument('--merge', action='store_true',
                        help='keep the earlier figures of benchmarks that are not named, and write '
                        'the document when all are there')
    parser.add_argument('--no-document', action='store_true', help='leave docs/performance.md alone')
    options = parser.parse_args()
    unknown = [name for name in options.benchmark if name not in figures.ALL]
    if unknown:
        parser.error(f'unknown: {" ".join(unknown)}; there are: {names}')
    return options


def missing_programs(names):
    return sorted({p for name in names for p in PROGRAMS.get(name, ()) if not shutil.which(p)})


def measure(bench, names):
    measured, faults = [], []
    for name in names:
        harness.progress(f'{name} ...')
        try:
            for figure in figures.ALL[name](bench):
                if bench.quick:
                    figure.limit = None  # too short to be judged
                measured.append(figure)
                harness.progress('')
                harness.say(figure.line())
        except harness.Failure as failure:
            faults.append(name)
            harness.progress('')
            print(f'bench: {name}: {failure}', file=sys.stderr, flush=True)
    return measured, faults


def main():
    options = arguments()
    names = options.benchmark or list(figures.ALL)
    lacking = missing_programs(names)
    if lacking:
        print(f'bench: {" ".join(lacking)} not found: run scripts/setup.sh --tests',
              file=sys.stderr)
        return 2
    harness.bring_up_loopback()
    facts = results.machine()
    harness.say(f'{facts["cpu"]}, {facts["cores"]} cores, Linux {facts["kernel"]}, load average '
                f'{facts["load"]:.1f}; server on core {harness.SERVER_CORE}, client on core '
                f'{harness.CLIENT_CORE}')
    with tempfile.TemporaryDirectory(prefix='sextant-bench-') as directory:
        measured, faults = measure(harness.Bench(directory, options.quick, options.minutes), names)
    path = harness.TOOLS / 'results.json'
    if options.merge:
        measured += [f for f in results.read_json(path) if f.benchmark not in names]
        order = list(figures.ALL)
        measured.sort(key=lambda f: order.index(f.benchmark))
    results.write_json(path, measured, facts, options.quick)
    missed = [f for f in measured if not f.holds]
    if not options.quick:
        harness.say(f'\n{len(measured)} figures, {len(missed)} beyond their limits'
                    + ''.join(f'\n  {f.line()}' for f in missed))
    complete = {f.benchmark for f in measured} == set(figures.ALL)
    if complete and not options.quick and not options.no_document and not faults:
        harness.say(f'written: {results.write_document(measured, facts)}')
    harness.say(f'written: {path}')
    if faults:
        return 2
    return 1 if missed and not options.quick else 0


if __name__ == '__main__':
    sys.exit(main())
