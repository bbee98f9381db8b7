"""Adds up pytest's reports and prints one closing line: ``1234 passed, 0 failed, 5 skipped in 61 s``."""

import argparse
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path


def add_up(reports: list[Path]) -> Counter[str]:
    """Counts of passed, failed and skipped tests over junit files, and their ``seconds``."""
    total: Counter[str] = Counter()
    for report in reports:
        for suite in ElementTree.parse(report).iter("testsuite"):
            number = {key: int(suite.get(key, "0")) for key in ("tests", "failures", "errors", "skipped")}
            failed = number["failures"] + number["errors"]
            total["failed"] += failed
            total["skipped"] += number["skipped"]
            total["passed"] += number["tests"] - failed - number["skipped"]
            total["seconds"] += round(float(suite.get("time", "0")))
    return total


def main() -> None:
    """Command line: a folder of reports; ends with status 1 if a test failed or none passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--prefix", default="", help="count only the reports whose names begin so")
    arguments = parser.parse_args()
    reports = sorted(arguments.folder.glob(f"{arguments.prefix}*.xml"))
    for report in reports:
        count = add_up([report])
        print(f"  {report.stem:28} {count['passed']:6} passed, {count['failed']} failed, {count['skipped']} skipped")
    total = add_up(reports)
    print(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped in {total['seconds']} s")
    sys.exit(total["failed"] > 0 or total["passed"] == 0)


if __name__ == "__main__":
    main()
