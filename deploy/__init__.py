"""Clusters that searches run on: files for `ray up` and KubeRay, their rules, what AWS needs beside them.

`python -m deploy.lint FILE` checks a cluster file, `python -m deploy.aws` makes the security group and the roles
that cluster.yaml names.
"""
