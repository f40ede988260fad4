# syntax=docker/dockerfile:1
FROM python:3.11-slim AS build
WORKDIR /src
COPY requirements.lock pyproject.toml README.md LICENSE ./
RUN python -m venv /opt/starvc \
 && /opt/starvc/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY core core
COPY collector collector
COPY aggregator aggregator
COPY api api
COPY dashboards dashboards
RUN /opt/starvc/bin/pip install --no-cache-dir --no-deps .

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/starvc --create-home starvc
COPY --from=build /opt/starvc /opt/starvc
ENV PATH=/opt/starvc/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    STARVC_HOST=0.0.0.0 \
    STARVC_DATA_DIR=/var/lib/starvc
USER 10001
VOLUME /var/lib/starvc
EXPOSE 18081
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:18081/health', timeout=2)"]
ENTRYPOINT ["starvc"]
CMD ["up"]
