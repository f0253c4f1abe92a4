# One collection, served on a CPU:
#
#   docker build -t cenote .
#   docker run --rm -p 127.0.0.1:8000:8000 --user "$(id -u)" -v "$PWD/docs.cenote:/collection" cenote
#
# Whoever reaches the port may search, add and delete. To let others than this machine reach it, ask for a token:
#
#   docker run --rm -p 8000:8000 --user "$(id -u)" -v "$PWD/docs.cenote:/collection" -v "$PWD/token:/token:ro" \
#       cenote serve /collection --host 0.0.0.0 --token-file /token
#
# Any other command takes the place of `serve`, such as `index /documents --out /collection`.
FROM python:3.11-slim

WORKDIR /src
# torch first: it is the largest and changes least. Its build for CPUs is the higher of two equal versions.
COPY constraints.txt ./
RUN pip install --no-cache-dir -c constraints.txt --extra-index-url https://download.pytorch.org/whl/cpu torch

COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip install --no-cache-dir -c constraints.txt ".[models,serve]"

# the user who runs it owns the collection, and need not be known here
WORKDIR /
ENV HOME=/tmp CENOTE_CACHE=/tmp/cenote NUMBA_CACHE_DIR=/tmp/numba
USER 1000

EXPOSE 8000
ENTRYPOINT ["cenote"]
CMD ["serve", "/collection", "--host", "0.0.0.0"]
