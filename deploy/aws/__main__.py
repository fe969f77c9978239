"""`python -m deploy.aws prepare | remove FILE`."""

import sys

from deploy.aws.command import main

sys.exit(main())
