"""Parts of the service, one file each: `part(head)` says how it is started, None where it cannot be."""
