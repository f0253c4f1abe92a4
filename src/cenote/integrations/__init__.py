"""Adapters: recipes and collections in the frameworks that people build with. Each needs an extra of its own name.

cenote.integrations.langchain     pip install "cenote[langchain]"
cenote.integrations.llamaindex    pip install "cenote[llamaindex]"
cenote.integrations.haystack      pip install "cenote[haystack]"
cenote.integrations.mcp           pip install "cenote[mcp]"
cenote.integrations.mteb          pip install "cenote[mteb]"
"""
