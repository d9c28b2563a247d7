"""The long form of the differential test, by hand.

python -m tests.server.differential --ensembles 3000 --seed 1 --report FILE --keep FOLDER
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

from tests.server.differential.campaign import Plan, again, cases, keep
from tests.server.differential.judge import Case
from tests.server.differential.shrink import shrunk


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.server.differential")
    parser.add_argument("--ensembles", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", type=Path, help="where to write the counts")
    parser.add_argument("--keep", type=Path, help="a folder for each disagreement")
    parser.add_argument("--each", type=int, default=50, help="ensembles over one set of members")
    parser.add_argument("--shrink", action="store_true", help="make disagreements small")
    options = parser.parse_args(words)
    began = time.monotonic()
    seen: list[Case] = []
    apart: list[Case] = []
    once: list[Case] = []
    for case in cases(Plan(options.ensembles, options.seed, each=options.each)):
        seen.append(case)
        if not case.agreed:
            left = _examined(case, options)
            apart += left
            once += [case] if not left else []
        if len(seen) % options.each == 0:
            unexplained = sum(not each.accepted for each in apart)
            progress = f"{len(seen)} ensembles, {unexplained} disagreements"
            print(f"{progress}, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)  # noqa: T201
    text = report(seen, apart, once, time.monotonic() - began)
    if options.report:
        options.report.write_text(text)
    print(text)  # noqa: T201
    return int(any(not case.accepted for case in apart))


def _examined(case: Case, options: argparse.Namespace) -> list[Case]:
    """The case once more by itself, as long as it still differs."""
    if not case.accepted:
        case = again(case)
        if case.agreed:
            return []
        if options.shrink and not case.accepted:
            case = shrunk(case)
    if options.keep and not case.accepted:
        name = f"{case.ensemble.name}-{len(list(options.keep.glob('*')))}"
        print(f"{keep(case, options.keep / name)}\n{case.report()}", flush=True)  # noqa: T201
    return [case]


def report(seen: list[Case], apart: list[Case], once: list[Case], seconds: float) -> str:
    outcomes = Counter(case.outcome for case in seen)
    codes = Counter(problem.code for case in seen for problem in set(case.ours.problems))
    asked = sum(case.theirs.asked for case in seen)
    lines = [f"{len(seen)} ensembles, {asked} requests, {seconds:.0f} s", ""]
    lines += ["| checker | server | ensembles |", "|---|---|---|"]
    lines += [f"| {ours} | {theirs} | {n} |" for (ours, theirs), n in sorted(outcomes.items())]
    accepted = Counter(case.accepted for case in apart if case.accepted)
    lines += ["", f"Unexplained disagreements: {sum(not case.accepted for case in apart)}"]
    lines += [f"Differed at first, agreed when asked again: {len(once)}"] if once else []
    lines += [f"Accepted: {name}: {n}" for name, n in sorted(accepted.items())]
    lines += ["", "Problems said, by code: "]
    lines[-1] += ", ".join(f"{code} {n}" for code, n in sorted(codes.items()))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
