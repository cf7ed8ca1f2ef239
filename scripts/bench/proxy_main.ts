// deno-lint-ignore-file no-console -- a process of its own: its output is its answer
/**
 * A TCP proxy that makes a network long and counts what passes: `proxy_main.ts TARGET_PORT ONE_WAY_MS`.
 *
 * A process of its own, so that it is never busy with something else. Prints its port; then, for each line of its input,
 * what has passed since the last one, as JSON.
 *
 * A round trip is a wait: something sent when everything before it has been answered. What is sent ahead costs none, even
 * where its answers come in between.
 *
 * @module
 */
import net from "node:net";
import { createInterface } from "node:readline";
import process from "node:process";
import {
  endsAnswer,
  isRequest,
  type Message,
  MessageReader,
} from "../dev/protocol_messages.ts";

/** What has passed. */
export interface Traffic {
  readonly connections: number;
  readonly roundTrips: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

const [target, oneWayMs] = Deno.args.map(Number) as [number, number];

let traffic = nothing();
/** Resolves when no connection is open. */
let open = 0;
let idle = Promise.withResolvers<void>();

const server = net.createServer({ allowHalfOpen: true }, (client) => {
  const upstream = net.connect({
    host: "127.0.0.1",
    port: target,
    allowHalfOpen: true,
  });
  if (open++ === 0) idle = Promise.withResolvers();
  traffic.connections++;
  // The TCP handshake takes a round trip too: what is sent sooner counts as sent then.
  const ready = performance.now() + 2 * oneWayMs;
  const said = new MessageReader("client");
  const answers = new MessageReader("server");
  /** Requests without a complete answer, as the client sees it. */
  const waiting: Message[] = [];
  connect(client, upstream, {
    earliest: ready,
    slackMs: 1,
    arrived: (chunk) => {
      traffic.sentBytes += chunk.length;
      for (const message of said.push(chunk).filter(isRequest)) {
        if (waiting.length === 0) traffic.roundTrips++;
        waiting.push(message);
      }
    },
  });
  connect(upstream, client, {
    earliest: 0,
    slackMs: 0.5,
    delivered: (chunk) => {
      traffic.receivedBytes += chunk.length;
      for (const message of answers.push(chunk)) {
        if (waiting[0] && endsAnswer(waiting[0], message)) waiting.shift();
      }
    },
  });
  client.on("close", () => {
    if (--open === 0) idle.resolve();
  });
});
server.listen(0, "127.0.0.1", () => {
  console.log((server.address() as net.AddressInfo).port);
});

for await (const _ of createInterface({ input: process.stdin })) {
  if (open > 0) await idle.promise;
  console.log(JSON.stringify(traffic));
  traffic = nothing();
}
Deno.exit(0);

interface Lane {
  readonly earliest: number;
  /** What is due within it is due. A timer knows whole milliseconds: one direction rounds up, the other down. */
  readonly slackMs: number;
  readonly arrived?: (chunk: Uint8Array) => void;
  readonly delivered?: (chunk: Uint8Array) => void;
}

/** Passes on what comes from one side, in order, each piece after the delay. */
function connect(from: net.Socket, to: net.Socket, lane: Lane): void {
  const waiting: { due: number; act: () => void }[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  const flush = () => {
    timer = undefined;
    const now = performance.now() + lane.slackMs;
    while (waiting.length > 0 && waiting[0]!.due <= now) waiting.shift()!.act();
    if (waiting.length > 0) {
      timer = setTimeout(flush, Math.floor(waiting[0]!.due - now));
    }
  };
  const pass = (act: () => void) => {
    if (oneWayMs === 0) return act();
    const due = Math.max(performance.now(), lane.earliest) + oneWayMs;
    waiting.push({ due, act });
    if (timer === undefined) flush();
  };
  from.setNoDelay(true);
  from.on("error", () => {});
  from.on("data", (chunk: Uint8Array) => {
    lane.arrived?.(chunk);
    pass(() => {
      lane.delivered?.(chunk);
      if (to.writable) to.write(chunk);
    });
  });
  from.on("end", () => pass(() => to.end()));
  from.on("close", () => pass(() => to.end()));
}

function nothing(): { -readonly [K in keyof Traffic]: number } {
  return { connections: 0, roundTrips: 0, sentBytes: 0, receivedBytes: 0 };
}
