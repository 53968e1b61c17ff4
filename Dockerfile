# The service in a container: adapters come as a volume, the base model's cache too, so that a new container does not convert it again.
#   docker build -t polyprefix .
#   docker run -p 8000:8000 -e POLYPREFIX_API_KEY=... -v ./runs:/runs:ro -v polyprefix-cache:/cache polyprefix /runs/RUN
FROM python:3.11.7-slim-bookworm

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    XDG_CACHE_HOME=/cache \
    HF_HOME=/cache/huggingface

WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
RUN pip install --no-cache-dir --extra-index-url "$TORCH_INDEX" -c constraints.txt ".[embedded,serve]" \
    && useradd --create-home --uid 10001 polyprefix \
    && mkdir /cache \
    && chown polyprefix /cache

USER polyprefix
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["polyprefix", "serve", "--host", "0.0.0.0", "--port", "8000"]
