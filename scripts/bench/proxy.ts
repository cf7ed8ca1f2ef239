/**
 * The other end of `proxy_main.ts`: starts it, asks it, ends it.
 *
 * @module
 */
import net from "node:net";
import { fileURLToPath } from "node:url";
import type { Traffic } from "./proxy_main.ts";

export interface Proxy extends AsyncDisposable {
  readonly port: number;
  /** What has passed since the last call, once every connection is closed. */
  take(): Promise<Traffic>;
}

const MAIN = fileURLToPath(new URL("./proxy_main.ts", import.meta.url));

/** Starts a proxy before a port of this machine; leaving the scope of `await using` ends it. */
export async function startProxy(
  port: number,
  roundTripMs: number,
): Promise<Proxy> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--no-config", "--allow-net", "--allow-env"],
      ...[MAIN, `${port}`, `${roundTripMs / 2}`],
    ],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const lines = child.stdout
    .pipeThrough(new TextDecoderStream())
    .pipeThrough(new LineStream())
    .getReader();
  const input = child.stdin.getWriter();
  const next = async () => {
    const { value } = await lines.read();
    if (value === undefined) throw new Error("The proxy has ended");
    return value;
  };
  return {
    port: Number(await next()),
    async take() {
      await input.write(new TextEncoder().encode("\n"));
      return JSON.parse(await next());
    },
    async [Symbol.asyncDispose]() {
      await input.close();
      await lines.cancel();
      await child.status;
    },
  };
}

/** What a round trip through a proxy really takes, measured with an echo; the median of many, in milliseconds. */
export async function measureRoundTrip(roundTripMs: number): Promise<number> {
  const echo = net.createServer((socket) => {
    socket.setNoDelay(true);
    socket.pipe(socket);
  });
  const port = await new Promise<number>((resolve) => {
    echo.listen(
      0,
      "127.0.0.1",
      () => resolve((echo.address() as net.AddressInfo).port),
    );
  });
  try {
    await using proxy = await startProxy(port, roundTripMs);
    return await ping(proxy.port);
  } finally {
    echo.close();
  }
}

async function ping(port: number): Promise<number> {
  const socket = net.connect({ host: "127.0.0.1", port, noDelay: true });
  await new Promise((resolve) => socket.once("connect", resolve));
  const times: number[] = [];
  for (let i = 0; i < 51; i++) {
    const start = performance.now();
    const answer = new Promise((resolve) => socket.once("data", resolve));
    socket.write("x");
    await answer;
    times.push(performance.now() - start);
  }
  socket.destroy();
  return times.sort((a, b) => a - b)[25]!;
}

class LineStream extends TransformStream<string, string> {
  constructor() {
    let rest = "";
    super({
      transform: (text, controller) => {
        const lines = (rest + text).split("\n");
        rest = lines.pop()!;
        for (const line of lines) controller.enqueue(line);
      },
    });
  }
}
