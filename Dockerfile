# The migrator in an image of its own:
#
#   docker build --build-arg COMMIT="$(git rev-parse HEAD)" -t battlescope-migrate .
#
# Builders without internet take an executable that was compiled before into dist/ (deno task compile):
#
#   docker build --build-arg EXECUTABLE=dist -t battlescope-migrate .
#
# Older versions of podman and buildah do not choose a stage by a default: give them
# --platform linux/amd64 and --build-arg EXECUTABLE=compile as well.

# "compile" builds the executable here; "dist" takes the one of the image's platform from dist/.
ARG EXECUTABLE=compile
# Builders set it: amd64 or arm64.
ARG TARGETARCH

FROM docker.io/denoland/deno:2.9.6 AS compile
WORKDIR /src
# The packages before the sources: they change less often.
COPY deno.json deno.lock ./
RUN deno install --frozen
COPY migrations migrations
COPY scripts scripts
COPY src src
# There is no git here to ask.
ARG COMMIT
# Passed on to deno task compile.
ARG COMPILE_OPTIONS
RUN deno task compile --output /dist $COMPILE_OPTIONS

FROM scratch AS dist-amd64
COPY dist/battlescope-migrate-linux-x64 /dist/

FROM scratch AS dist-arm64
COPY dist/battlescope-migrate-linux-arm64 /dist/

FROM dist-$TARGETARCH AS dist

FROM $EXECUTABLE AS executable

FROM gcr.io/distroless/cc-debian12:nonroot
ARG COMMIT
LABEL org.opencontainers.image.title="battlescope-migrate" \
      org.opencontainers.image.description="Creates and evolves BattleScope's PostgreSQL schema" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="$COMMIT" \
      org.opencontainers.image.base.name="gcr.io/distroless/cc-debian12:nonroot"
COPY --from=executable /dist/battlescope-migrate-linux-* /usr/local/bin/battlescope-migrate
# By number, so that Kubernetes can see that it is not root.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/battlescope-migrate"]
CMD ["up"]
