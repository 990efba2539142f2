# weft with everything it needs, and torchrun, which starts its ranks.
#
#   docker build -t weft .                                   for GPUs; WEFT_CUDA=OFF: without
#   docker run --gpus all --shm-size=8g -v $PWD:/work weft train run.yaml
#
# The second stage has no compiler. LibTorch comes once, with the torch package whose torchrun is used.
FROM debian:12-slim AS build
ARG WEFT_CUDA=ON
ENV WEFT_DEPS=/deps
RUN apt-get update && apt-get install -y --no-install-recommends git python3 sudo
WORKDIR /src
COPY . .
RUN WEFT_CUDA=$WEFT_CUDA scripts/setup.sh
RUN cmake --preset release -DWEFT_CUDA=$WEFT_CUDA -DWEFT_BUILD_TESTS=OFF && \
    cmake --build --preset release --target weft && \
    scripts/bundle.sh /opt/weft

FROM debian:12-slim
RUN apt-get update && \
    apt-get install -y --no-install-recommends python3 python3-venv libgomp1 openssh-client && \
    rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/torch && /opt/torch/bin/pip install --no-cache-dir torch==2.11.0
COPY --from=build /opt/weft /opt/weft
ENV PATH=/opt/torch/bin:$PATH
# No root in the container: what weft writes lies in volumes.
RUN useradd --create-home --uid 1000 weft
USER weft
WORKDIR /work
ENTRYPOINT ["/opt/weft/run", "weft"]
