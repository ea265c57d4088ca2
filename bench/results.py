"""Figures: what they are, how they are printed, the JSON file and the table of the docs."""

import dataclasses
import datetime
import json
import os
import platform
import re

from harness import ROOT

BEGIN, END = '<!-- bench:begin -->', '<!-- bench:end -->'


@dataclasses.dataclass
class Figure:
    """One measured number and what it must be."""
    benchmark: str
    what: str
    value: float
    unit: str = ''
    limit: float | None = None  # None: for information
    at_least: bool = False  # the limit is a lower one
    spread: tuple | None = None  # quartiles of the pairs
    detail: str = ''
    date: str = dataclasses.field(default_factory=lambda: now())

    @property
    def holds(self):
        if self.limit is None:
            return True
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def number(self, value):
        if value == 0:
            return '0'
        if abs(value) >= 1000:
            return f'{value:,.0f}'.replace(',', ' ')
        if abs(value) >= 100:
            return f'{value:.0f}'
        return f'{value:.3g}'

    def value_text(self):
        return self.number(self.value) + (f' {self.unit}' if self.unit else '')

    def spread_text(self):
        return '' if self.spread is None else ' – '.join(self.number(v) for v in self.spread)

    def limit_text(self):
        if self.limit is None:
            return ''
        return ('≥ ' if self.at_least else '≤ ') + self.number(self.limit)

    def verdict(self):
        return '' if self.limit is None else ('holds' if self.holds else 'MISSED')

    def line(self):
        spread = f' [{self.spread_text()}]' if self.spread else ''
        limit = f', limit {self.limit_text()}: {self.verdict()}' if self.limit is not None else ''
        detail = f' ({self.detail})' if self.detail else ''
        return f'{self.benchmark:13} {self.what}: {self.value_text()}{spread}{limit}{detail}'


def machine():
    """The machine in a few words."""
    cpu = 'unknown CPU'
    with open('/proc/cpuinfo') as file:
        found = re.search(r'^model name\s*: (.*)$', file.read(), re.M)
        if found:
            cpu = found.group(1)
    with open('/proc/meminfo') as file:
        memory = int(re.search(r'^MemTotal:\s*(\d+)', file.read(), re.M).group(1)) / 1048576
    return {'cpu': cpu, 'cores': len(os.sched_getaffinity(0)), 'memory_gib': round(memory, 1),
            'kernel': platform.release(), 'load': os.getloadavg()[0]}


def write_json(path, figures, facts, quick):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{**dataclasses.asdict(f), 'holds': f.holds} for f in figures]
    path.write_text(json.dumps({'date': now(), 'machine': facts, 'quick': quick,
                                'figures': rows}, indent=1) + '\n')


def read_json(path):
    """The figures of an earlier run on a machine like this one; none if there are none."""
    try:
        earlier = json.loads(path.read_text())
    except (OSError, ValueError):
        return []
    if earlier['quick'] or earlier['machine']['cpu'] != machine()['cpu']:
        return []
    for row in earlier['figures']:
        del row['holds']
    return [Figure(**row) for row in earlier['figures']]


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime('%Y-%m-%d %H:%M UTC')


def table(figures, facts):
    dates = sorted(f.date for f in figures)
    lines = [f'Measured {dates[0]} to {dates[-1]} on {facts["cores"]} cores of {facts["cpu"]}, '
             f'{facts["memory_gib"]} GiB, Linux {facts["kernel"]}; load average at the start '
             f'{facts["load"]:.1f}.', '',
             '| benchmark | figure | measured | quartiles of the pairs | limit | | remarks |',
             '|---|---|---|---|---|---|---|']
    for f in figures:
        lines.append(f'| {f.benchmark} | {f.what} | {f.value_text()} | {f.spread_text()} | '
                     f'{f.limit_text()} | {f.verdict()} | {f.detail} |')
    return '\n'.join(lines)


def write_document(figures, facts):
    """Replaces what stands between the markers; the rest of the page is written by hand."""
    path = ROOT / 'docs' / 'performance.md'
    text = path.read_text()
    before, _, rest = text.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f'{path} has no {BEGIN} ... {END}')
    path.write_text(f'{before}{BEGIN}\n{table(figures, facts)}\n{END}{after}')
    return path
