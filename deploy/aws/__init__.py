"""What cluster.yaml needs of an AWS account, as JSON files and as the program that applies them.

security-group.json   who may connect: the cluster's machines to each other, ssh from named addresses
head-policy.json      what the head may do: start, tag and end the workers of this cluster
storage-policy.json   what head and workers may do with the bucket of the results, if there is one
trust-policy.json     who may take these roles: EC2 machines

`@NAME@` in them stands for what `python -m deploy.aws prepare` puts there: REGION, ACCOUNT, CLUSTER (`cluster_name`),
WORKER (the workers' role), SECURITY_GROUP, SSH_FROM, BUCKET. Written for the partition `aws`: not China, not GovCloud.
"""
