"""`python -m synth_pipeline` is `synth-pipeline`."""

import sys

from synth_pipeline.cli import main

sys.exit(main())
