"""`python -m tpu_scripts.launch`."""

import sys

from tpu_scripts.launch.command import main

sys.exit(main())
