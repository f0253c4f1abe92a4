import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "package", "extra"),
    [
        ("langchain", "langchain_core", "langchain"),
        ("llamaindex", "llama_index", "llamaindex"),
        ("haystack", "haystack", "haystack"),
        ("mcp", "mcp", "mcp"),
        ("mteb", "mteb", "mteb"),
    ],
)
def test_a_framework_that_is_not_there_is_named(module, package, extra):
    code = f"import sys; sys.modules[{package!r}] = None\nimport cenote.integrations.{module}"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.stderr.splitlines()[-1].startswith("ImportError: ")
    assert f'pip install "cenote[{extra}]"' in ran.stderr.splitlines()[-1]
