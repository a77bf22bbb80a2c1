"""What several test modules share, by subject; pytest explains failed asserts in it, too."""

import pytest

pytest.register_assert_rewrite("helpers.commands", "helpers.decoders", "helpers.inputs")
pytest.register_assert_rewrite("helpers.runs", "helpers.shards")
