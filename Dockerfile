# The collector with its embedded engine. glibc is needed (the engine is a shared library), so no Alpine.
FROM node:20-bookworm-slim AS bundle
WORKDIR /bundle
COPY collector/bundle/package.json collector/bundle/package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=unknown
ARG COMMIT=unknown
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION} -X main.commit=${COMMIT}" -o /passalong ./collector/cmd/passalong

FROM debian:bookworm-slim
COPY --from=build /passalong /usr/bin/passalong
COPY --from=bundle /bundle/node_modules/@chdb/lib-linux-x64-gnu/libchdb.so /usr/lib/passalong/libchdb.so
COPY --from=bundle /bundle/node_modules/@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb /usr/lib/passalong/country.mmdb
RUN install -d -o 65532 -g 65532 -m 0700 /data
USER 65532:65532
ENV PASSALONG_DATA_DIR=/data
VOLUME /data
EXPOSE 8080
# The collector drains on SIGTERM: give it the time (docker stop --time 30).
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/passalong"]
CMD ["serve"]
