# Hutong's services and commands in one image: `docker build -t hutong:0.1.0 .`
#
# The Python is the one that the tests run on. Tags are exact; to pin the bytes as well, look a digest up once
# (`docker buildx imagetools inspect python:3.11.14-slim-bookworm`) and give it:
# `--build-arg PYTHON=python:3.11.14-slim-bookworm@sha256:...`.
ARG PYTHON=python:3.11.14-slim-bookworm
ARG RUST=rust:1.91.1-slim-bookworm

# The Rust extension, with which the router is five times as fast. It works with every Python from 3.11 on (abi3).
FROM ${RUST} AS native
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 python3-pip \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY requirements.lock ./
RUN sed -n '/^maturin==/,/[^\\]$/p' requirements.lock > maturin.txt \
 && pip install --no-cache-dir --no-deps --break-system-packages --require-hashes -r maturin.txt
COPY native native
RUN cargo fetch --manifest-path native/Cargo.toml \
 && python3 native/crates.py \
 && maturin build --release --locked --interpreter python3 --manifest-path native/Cargo.toml --out wheels

# Everything that runs, in a virtual environment: the versions of requirements.lock, checked against its hashes.
FROM ${PYTHON} AS packages
WORKDIR /build
COPY requirements.lock ./
RUN sed -n '/^uv==/,/[^\\]$/p' requirements.lock > uv.txt \
 && pip install --no-cache-dir --no-deps --require-hashes -r uv.txt \
 && uv venv /opt/hutong
COPY pyproject.toml README.md LICENSE ./
COPY hutong hutong
COPY services services
COPY connectors connectors
COPY --from=native /build/wheels wheels
# uv holds what it takes against the hashes of its constraints, that what builds included.
RUN uv pip install --python /opt/hutong/bin/python --no-cache \
      --constraint requirements.lock --build-constraint requirements.lock \
      '.[cli,postgres,services,tls]' wheels/*.whl \
 && /opt/hutong/bin/python -m compileall -q /opt/hutong/lib

FROM ${PYTHON}
LABEL org.opencontainers.image.title="hutong" \
      org.opencontainers.image.description="The event layer between departments' systems, on Apache Kafka" \
      org.opencontainers.image.licenses="Apache-2.0"
# The number is that of the user in Kafka's image: what one writes for the other is private to both.
RUN groupadd --gid 1000 hutong \
 && useradd --uid 1000 --gid 1000 --no-create-home --home-dir /var/lib/hutong --shell /usr/sbin/nologin hutong \
 && install -d -o hutong -g hutong -m 0750 /var/lib/hutong /var/lib/hutong/keys /var/lib/hutong/coordinator /prepared \
      /prepared/kafka-1 /prepared/kafka-2 /prepared/kafka-3 /prepared/registry /prepared/router /prepared/coordinator \
      /prepared/monitor /prepared/grafana
COPY --from=packages /opt/hutong /opt/hutong
ENV PATH=/opt/hutong/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HUTONG_HOME=/var/lib/hutong \
    HUTONG_ROUTER_HOST=0.0.0.0 HUTONG_ROUTER_PORT=8080 \
    HUTONG_COORDINATOR_HOST=0.0.0.0 HUTONG_COORDINATOR_PORT=8080 \
    HUTONG_MONITOR_HOST=0.0.0.0 HUTONG_MONITOR_PORT=8080
USER 1000:1000
WORKDIR /var/lib/hutong
EXPOSE 8080
# Whether the loop moves. Whether it does its work now is /health/ready: not a reason to be killed.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/health/live', timeout=2)"]
ENTRYPOINT ["hutong"]
CMD ["run", "router"]
