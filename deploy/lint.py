"""Checks a cluster file before it costs anything: is it valid, closed to the internet, and will it end by itself?

examples:
  python -m deploy.lint cluster.yaml
  python -m deploy.lint deploy/*.yaml

Reads files for `ray up` (AWS, GCP, own machines) and manifests with a RayCluster. One line for each finding: file,
line, rule, what is there, what to do. Exit code: 0 nothing found, 1 findings, 2 a file that cannot be read.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from deploy.reading.documents import ClusterFile, at, read_documents
from deploy.reading.finding import Finding, finding
from deploy.rules import kubernetes, launcher
from search.errors import EXIT_FAILED, EXIT_INPUT, EXIT_OK, InputError
from search.file.yaml12 import Document


def lint(path: str | Path) -> list[Finding]:
    """All findings in the file at `path`, by line. Raises InputError for a file that is no cluster file."""
    documents = read_documents(path)
    for document in documents:
        if not isinstance(document.data, dict):
            raise InputError(f"{path}: must be a mapping, but is {type(document.data).__name__}")
    if any(document.data.get("kind") == "RayCluster" for document in documents):
        return sorted(set(_kubernetes_findings(documents)))
    if len(documents) != 1 or at(documents[0].data, "provider", "type") is None:
        raise InputError(f"{path}: must be a file for `ray up` (with provider.type) or hold a RayCluster")
    return sorted(set(_launcher_findings(documents[0])))


def _launcher_findings(document: ClusterFile) -> Iterator[Finding]:
    provider = document.data["provider"]["type"]
    if provider not in launcher.ANY:
        raise InputError(
            f"{document.file}: provider.type must be one of {', '.join(launcher.ANY)}, but is {provider}"
        )
    for name, (rule, providers) in launcher.RULES.items():
        if provider in providers:
            yield from _checked(name, rule(document), document)


def _kubernetes_findings(documents: list[ClusterFile]) -> Iterator[Finding]:
    for name, rule in kubernetes.RULES.items():
        yield from _checked(name, rule(documents), documents[0])


def _checked(rule: str, findings: Iterator[Finding], document: Document) -> Iterator[Finding]:
    """The findings; one more where a value is of another type than the rule reads: nothing is passed unseen."""
    try:
        yield from findings
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:100]
        message = f"cannot be checked ({reason})"
        yield finding(rule, document, (), message, "See deploy/ for the expected form")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.lint",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="+", metavar="FILE")
    args = parser.parse_args(argv)
    code = EXIT_OK
    for file in args.files:
        try:
            findings = lint(file)
        except InputError as error:
            sys.stderr.write(f"error: {error}\n")
            code = EXIT_INPUT
            continue
        for each in findings:
            print(each)
        print(f"{file}: {len(findings) or 'no'} finding{'' if len(findings) == 1 else 's'}")
        if findings and code == EXIT_OK:
            code = EXIT_FAILED
    return code


if __name__ == "__main__":
    sys.exit(main())
