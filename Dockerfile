# The project and its environment; runs the quick study, or what is named after the image:
#
#   docker build -t device-edge .
#   docker run --rm -v "$PWD/outputs:/home/study/project/outputs" device-edge ./run_all.sh quick
#   docker run --rm -p 8888:8888 device-edge jupyter lab --ip 0.0.0.0 --no-browser
#
# torch is the build that PyPI has, of several GB because it brings CUDA; without a GPU, a smaller one is had by
# --build-arg PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
FROM python:3.11-slim-bookworm

# git: each result names the commit that made it
RUN apt-get update && apt-get install --yes --no-install-recommends git && rm -rf /var/lib/apt/lists/*

# a user of its own; give it your number (id -u) if it shall write into a mounted folder
ARG UID=1000
RUN useradd --create-home --uid "$UID" study
USER study
WORKDIR /home/study/project

# what the environment is made of alone, so that a change of code does not make it again
ARG PIP_EXTRA_INDEX_URL
ENV PIP_NO_CACHE_DIR=1
COPY --chown=study run_all.sh requirements.txt requirements.lock ./
RUN ./run_all.sh setup

COPY --chown=study . .
ENV PATH=/home/study/project/.venv/bin:$PATH
CMD ["./run_all.sh"]
