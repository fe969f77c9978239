"""Makes what cluster.yaml needs of an AWS account: a security group and two roles; fills their names in.

examples:
  python -m deploy.aws prepare cluster.yaml --ssh-from 203.0.113.7/32
  python -m deploy.aws prepare cluster.yaml --ssh-from 203.0.113.7/32 --bucket my-results
  python -m deploy.aws remove cluster.yaml

Uses the credentials that boto3 finds. Run `prepare` again when your address changes. What it makes stands in
deploy/aws/*.json.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy.aws.account import Account, names_in, ssh_source
from search.errors import EXIT_FAILED, EXIT_INPUT, EXIT_OK, InputError, OperationFailed
from search.machine.output import write_file

PLACEHOLDERS = ("sg-REPLACE", "ami-REPLACE")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.aws", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    prepare = verbs.add_parser("prepare", help="make or update the group and the roles, fill FILE in")
    prepare.add_argument("file", metavar="FILE", help="cluster file, such as cluster.yaml")
    prepare.add_argument(
        "--ssh-from", metavar="NETWORK", required=True, help="who may use ssh, as ADDRESS/32"
    )
    prepare.add_argument("--bucket", metavar="NAME", help="S3 bucket for results, which must exist")
    prepare.add_argument(
        "--image", metavar="AMI", help="machine image (the newest of AWS with NVIDIA's driver)"
    )
    remove = verbs.add_parser("remove", help="remove the group and the roles")
    remove.add_argument("file", metavar="FILE")
    args = parser.parse_args(argv)
    try:
        return _remove(args) if args.verb == "remove" else _prepare(args)
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_INPUT
    except OperationFailed as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_FAILED


def _prepare(args: argparse.Namespace) -> int:
    names, source = names_in(args.file), ssh_source(args.ssh_from)

    with _aws() as session:
        account = Account(session, names)
        image = args.image or account.newest_image()
        group = account.prepare(ssh_from=source, bucket=args.bucket)
    print(f"security group  {group}: ssh from {source}")
    print(
        f"roles           {names.head}, {names.worker}{f', with the bucket {args.bucket}' if args.bucket else ''}"
    )
    print(f"machine image   {image}")
    path = Path(args.file)
    text = path.read_text(encoding="utf-8")
    filled = text
    for placeholder, value in zip(PLACEHOLDERS, (group, image), strict=True):
        filled = filled.replace(placeholder, value)
    if filled == text:
        print(f"{path} is unchanged: it names a group and an image already")
    else:
        write_file(path, filled.encode())
        print(f"{path} is filled in. Next: python -m deploy.lint {path}")
    return EXIT_OK


def _remove(args: argparse.Namespace) -> int:
    names = names_in(args.file)
    with _aws() as session:
        removed = Account(session, names).remove()
    print(f"removed: {', '.join(removed) or 'nothing, nothing was there'}")
    return EXIT_OK


@contextmanager
def _aws() -> Iterator[Any]:
    """A session with the user's credentials; what AWS answers no to is an OperationFailed."""
    try:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError
    except ModuleNotFoundError:
        raise OperationFailed(
            "boto3 is missing. Run: pip install --constraint constraints.txt boto3"
        ) from None
    try:
        yield boto3.Session()
    except (BotoCoreError, ClientError) as error:
        raise OperationFailed(f"AWS: {' '.join(str(error).split())}") from error
