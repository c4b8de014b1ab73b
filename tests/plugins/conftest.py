"""These projects are built and installed by test_plugin.py; here is nothing to test."""

collect_ignore_glob = ["*"]
