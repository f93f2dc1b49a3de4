# The page.
FROM node:22-bookworm-slim AS page
WORKDIR /src/web
COPY web/package.json web/package-lock.json ./
RUN npm ci --no-fund --no-audit
COPY web ./
RUN npm run build

# The binary, with the page in it. cgo is for automerge-go, which worker processes use.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
COPY --from=page /src/web/dist ./web/dist
RUN CGO_ENABLED=1 go build -trimpath -ldflags='-s -w' -o /atrium ./cmd/atrium

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home atrium \
    && install -d -o atrium -g atrium /var/lib/atrium
COPY --from=build /atrium /usr/local/bin/atrium
USER atrium
ENV ATRIUM_ADDR=0.0.0.0:8080 ATRIUM_DATA_DIR=/var/lib/atrium
VOLUME /var/lib/atrium
EXPOSE 8080
# SIGTERM drains: see docs/operations.md.
ENTRYPOINT ["atrium"]
CMD ["serve"]
