"""Tests of the connectors; the suite that all of them share says what failed as any test does."""

import pytest

pytest.register_assert_rewrite("synth_pipeline_tests.connectors.contract")
