# docker build -t starscale . && docker run --rm -v "$PWD:/data" starscale run run.toml -o run
FROM python:3.13-slim

COPY . /source
RUN pip install --no-cache-dir /source && rm -rf /source \
    && useradd --create-home star

# Numbers of threads and memory follow the limits of the container.
USER star
WORKDIR /data
ENTRYPOINT ["starscale"]
CMD ["--help"]
