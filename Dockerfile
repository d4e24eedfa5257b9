# docker build -t starscale .
# docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/data" starscale run run.toml -o run
FROM python:3.13-slim

COPY . /source
RUN pip install --no-cache-dir /source && rm -rf /source \
    && useradd --create-home star

# Any user may run it, also one without a name in the container: what is kept between calls goes there.
ENV HOME=/tmp
# Numbers of threads and memory follow the limits of the container.
USER star
WORKDIR /data
ENTRYPOINT ["starscale"]
CMD ["--help"]
