/**
 * A TCP proxy that stands between the program and PostgreSQL, and does to the stream what networks do.
 *
 * It answers a request for TLS with a no, as a man in the middle would, so that it can read what passes.
 *
 * @module
 */
import net from "node:net";
import {
  endsAnswer,
  isRequest,
  type Message,
  MessageReader,
  statementOf,
} from "../../../scripts/dev/protocol_messages.ts";

/** What happens to a session at its cut. Either end sees the same, but for the server of `stall` and `garble`. */
export type Fault =
  /** Closed in order. */
  | "fin"
  /** Reset. */
  | "rst"
  /** Open, but nothing passes any more. */
  | "stall"
  /** The client gets noise in place of what the server says from here on. */
  | "garble";

export interface Cut {
  /** The number of the request, counted from 1 in the session; the log-in takes three. */
  readonly request: number;
  /** What gets lost: the server never sees the request, or it has carried it out and the client never hears of it. */
  readonly lose:
    | "request"
    | "half of the request"
    | "answer"
    | "half of the answer";
  readonly fault: Fault;
  /** Where the session that comes next is cut. */
  readonly next?: Cut;
  /** How the network is from then on; connections that are made are received in the usual way when missing. */
  readonly away?: Away;
}

/** A network that is away for a while, or for good. */
export interface Away {
  readonly front: Front;
  /** In milliseconds; for good when missing. */
  readonly ms?: number;
}

/** One connection of a client, as far as it was for a session: a request to cancel is none. */
export interface ProxySession {
  /** The statements in the order in which they were sent; a step of the log-in is an empty text, and so is the second of two requests for one. */
  readonly requests: readonly string[];
  /** How often the client sent something after it had heard something: what a round trip is paid for. */
  readonly flights: number;
  /** Whether its cut was reached. */
  readonly cut: boolean;
  /** Whether the client's end of it is closed. */
  readonly closed: boolean;
}

/** What a proxy does with a client that it does not connect to any server. */
export type Front =
  | "accepts and closes"
  | "reads and closes"
  | "says nothing"
  | "speaks HTTP";

export interface Proxy extends AsyncDisposable {
  readonly host: "127.0.0.1";
  readonly port: number;
  /** Every session so far, oldest first. */
  readonly sessions: readonly ProxySession[];
  /** How many connections were accepted, for whatever purpose. */
  readonly accepted: number;
  /** The connection string of the server, led through the proxy. */
  url(direct: string): string;
  /** The next session is cut there, or the first after it that comes so far. */
  cutNext(cut: Cut | undefined): void;
  /** Holds the next request whose statement matches, before the server sees it. Resolves when it is held. */
  hold(statement: RegExp): { readonly held: Promise<void>; release(): void };
  /** Stalls every session that is open now. */
  stall(): void;
  /** The clients of the sessions that are open now hear nothing more of what the server says. */
  mute(): void;
  /** How new connections are received from now on; `undefined` connects them. */
  front(behaviour: Front | undefined): void;
  /** Whoever connects from now on is refused by the operating system; the sessions that are open go on. */
  refuse(): void;
  /** Whoever connects from now on reaches this server; the sessions that are open go on. */
  redirect(target: { readonly host: string; readonly port: number }): void;
  /** Rewrites what the server says, text for text of the same length, in every session from now on. */
  rewrite(from: string, to: string): void;
  /** Says this to the next request whose statement matches, in the place of the server; without end, if told so. */
  lie(statement: RegExp, said: Uint8Array, more?: "without end"): void;
  /** Resets every connection that is open now. */
  drop(): void;
}

export interface ProxyOptions {
  /** Added to the way in each direction. @default {0} */
  readonly latencyMs?: number;
  /**
   * The two take turns: the client hears nothing until it has fallen silent and the server has answered all of it. Then
   * {@link ProxySession.flights} are those that the client has waited for, however fast anybody is. @default {false}
   */
  readonly turns?: boolean;
}

/**
 * A client that says nothing for so many turns of our own clock has fallen silent: on a busy machine they take as much
 * longer as the client's do.
 */
const SILENT_TICKS = 60;

/** Starts a proxy before a server; leaving the scope of `await using` ends it and all its connections. */
export async function startProxy(
  target: { readonly host: string; readonly port: number },
  { latencyMs = 0, turns = false }: ProxyOptions = {},
): Promise<Proxy> {
  const sessions: Session[] = [];
  const sockets = new Set<net.Socket>();
  const holds: Hold[] = [];
  const lies: Lie[] = [];
  let nextCut: Cut | undefined;
  let behaviour: Front | undefined;
  let replacement: Replacement | undefined;
  let accepted = 0;
  let back: ReturnType<typeof setTimeout> | undefined;
  const receiveAs = (next: Front | undefined) => {
    clearTimeout(back);
    behaviour = next;
  };

  let upstreamTarget = target;
  const server = net.createServer({ allowHalfOpen: true }, (client) => {
    accepted++;
    track(client);
    if (behaviour !== undefined) return receive(client, behaviour);
    const upstream = net.connect({ ...upstreamTarget, allowHalfOpen: true });
    track(upstream);
    const session = new Session(client, upstream, {
      holds,
      lies,
      latencyMs,
      turns,
      replacement: () => replacement,
      onStart: () => {
        sessions.push(session);
        const cut = nextCut;
        nextCut = undefined;
        return cut;
      },
      onUnreached: (cut) => void (nextCut ??= cut),
      onCut: ({ away, next }) => {
        nextCut = next;
        if (away === undefined) return;
        receiveAs(away.front);
        if (away.ms !== undefined) {
          back = setTimeout(() => receiveAs(undefined), away.ms);
        }
      },
    });
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.on("error", reject);
    server.listen(
      0,
      "127.0.0.1",
      () => resolve((server.address() as net.AddressInfo).port),
    );
  });
  return {
    host: "127.0.0.1",
    port,
    sessions,
    get accepted() {
      return accepted;
    },
    url(direct) {
      const url = new URL(direct);
      url.port = `${port}`;
      return url.href;
    },
    cutNext: (cut) => void (nextCut = cut),
    hold(statement) {
      const hold: Hold = {
        statement,
        held: Promise.withResolvers(),
        released: Promise.withResolvers(),
      };
      holds.push(hold);
      return { held: hold.held.promise, release: hold.released.resolve };
    },
    stall: () => sessions.forEach((session) => session.stall()),
    mute: () => sessions.forEach((session) => session.mute()),
    front: receiveAs,
    refuse: () => void server.close(),
    redirect: (target) => upstreamTarget = target,
    rewrite: (from, to) => {
      const [before, after] = [from, to].map((text) =>
        new TextEncoder().encode(text)
      );
      if (before!.length !== after!.length) {
        throw new TypeError(
          `Cannot rewrite "${from}" as "${to}": their lengths differ`,
        );
      }
      replacement = { from: before!, to: after! };
    },
    lie: (statement, said, more) =>
      void lies.push({ statement, said, isEndless: more !== undefined }),
    drop: () => {
      for (const socket of sockets) socket.resetAndDestroy();
    },
    async [Symbol.asyncDispose]() {
      receiveAs(undefined);
      for (const { released } of holds) released.resolve();
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };

  function track(socket: net.Socket): void {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.setMaxListeners(0);
    // The other end may go away at any time; that is the subject, not a failure.
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
  }
}

interface Hold {
  readonly statement: RegExp;
  readonly held: PromiseWithResolvers<void>;
  readonly released: PromiseWithResolvers<void>;
}

interface Lie {
  readonly statement: RegExp;
  readonly said: Uint8Array;
  readonly isEndless: boolean;
}

interface Replacement {
  readonly from: Uint8Array;
  readonly to: Uint8Array;
}

interface SessionOptions {
  readonly holds: Hold[];
  readonly lies: Lie[];
  readonly latencyMs: number;
  readonly turns: boolean;
  readonly replacement: () => Replacement | undefined;
  /** Called with the first message of a session, returns where it is cut. */
  readonly onStart: () => Cut | undefined;
  /** Called when it ends before its cut. */
  readonly onUnreached: (cut: Cut) => void;
  readonly onCut: (cut: Cut) => void;
}

class Session implements ProxySession {
  readonly requests: string[] = [];
  flights = 0;
  cut = false;
  closed = false;
  #cutAt: Cut | undefined;
  #answers = 0;
  /** Requests that have no complete answer yet. */
  readonly #open: Message[] = [];
  #statement = "";
  #clientSpoke = false;
  /** Runs while it may be that the client goes on speaking; only where the two take turns. */
  #turn: ReturnType<typeof setTimeout> | undefined;
  /** What the server has said and the client has not heard yet. */
  #unheard: Uint8Array[] = [];
  #stalled = false;
  #garbled = false;
  readonly #client: net.Socket;
  readonly #upstream: net.Socket;
  readonly #options: SessionOptions;
  readonly #toServer: Lane;
  readonly #toClient: Lane;

  constructor(
    client: net.Socket,
    upstream: net.Socket,
    options: SessionOptions,
  ) {
    this.#client = client;
    this.#upstream = upstream;
    this.#options = options;
    this.#toServer = new Lane(upstream, options.latencyMs);
    this.#toClient = new Lane(client, options.latencyMs);
    const fromClient = new MessageReader("client");
    const fromServer = new MessageReader("server");
    client.on("data", (chunk) => {
      for (const message of fromClient.push(chunk)) this.#request(message);
    });
    upstream.on("data", (chunk) => {
      for (const message of fromServer.push(chunk)) this.#answer(message);
    });
    client.on("end", () => this.#stalled || this.#toServer.end());
    upstream.on("end", () => {
      if (this.#stalled) return;
      this.#deliver();
      this.#toClient.end();
    });
    client.on("close", () => {
      this.closed = true;
      if (this.#cutAt !== undefined && !this.cut) {
        options.onUnreached(this.#cutAt);
      }
      clearTimeout(this.#turn);
      if (!this.#stalled) this.#toServer.end();
    });
    upstream.on("close", () => this.#stalled || client.destroy());
  }

  stall(): void {
    this.#stalled = true;
    this.#toServer.stop();
    this.#toClient.stop();
  }

  mute(): void {
    this.#toClient.stop();
  }

  #request(message: Message): void {
    if (message.type === "ssl") {
      this.#toClient.send(new TextEncoder().encode("N"));
      return;
    }
    if (message.type === "startup") this.#cutAt = this.#options.onStart();
    this.#statement = statementOf(message) || this.#statement;
    if (!this.#clientSpoke) this.flights++;
    this.#clientSpoke = true;
    this.#speak();
    if (isRequest(message)) {
      this.requests.push(this.#statement);
      this.#statement = "";
      this.#open.push(message);
    }
    const here = this.requests.length === this.#cutAt?.request &&
      isRequest(message);
    if (here && this.#losesRequest) {
      if (this.#cutAt!.lose === "half of the request") {
        this.#toServer.send(
          message.bytes.subarray(0, message.bytes.length / 2),
        );
      }
      // What came before it has its answer first; then the line is dead.
      if (this.#answers >= this.requests.length - 1) this.#apply();
      this.#toServer.stop();
      return;
    }
    const text = this.requests.at(-1) ?? "";
    const { lies } = this.#options;
    const lieAt = lies.findIndex(({ statement }) =>
      isRequest(message) && statement.test(text)
    );
    if (lieAt >= 0) {
      const [{ said, isEndless }] = lies.splice(lieAt, 1) as [Lie];
      // The server has nothing more to do with it, and undoes what it has begun.
      this.#upstream.destroy();
      this.#stalled = true;
      if (isEndless) return flood(this.#client, said);
      return this.#toClient.send(said);
    }
    const index = this.#options.holds.findIndex(({ statement }) =>
      isRequest(message) && statement.test(text)
    );
    if (index >= 0) {
      const [hold] = this.#options.holds.splice(index, 1);
      hold!.held.resolve();
      this.#toServer.wait(hold!.released.promise);
    }
    this.#toServer.send(message.bytes);
  }

  #answer(message: Message): void {
    const cut = this.#cutAt;
    const lost = cut !== undefined && !this.#losesRequest &&
      this.#answers === cut.request - 1;
    if (!lost) this.#unheard.push(this.#rewritten(message.bytes));
    else if (cut.lose === "half of the answer") {
      this.#toClient.send(message.bytes.subarray(0, message.bytes.length / 2));
      this.#toClient.stop();
    }
    const request = this.#open[0];
    const ends = request !== undefined && endsAnswer(request, message);
    if (ends) this.#open.shift();
    this.#takeTurn();
    if (!ends) return;
    this.#answers++;
    const last = cut !== undefined && !this.cut &&
      (lost || this.#losesRequest && this.#answers === cut.request - 1 &&
          this.requests.length >= cut.request);
    if (last) this.#apply();
  }

  get #losesRequest(): boolean {
    return this.#cutAt?.lose === "request" ||
      this.#cutAt?.lose === "half of the request";
  }

  #speak(): void {
    if (!this.#options.turns) return;
    clearTimeout(this.#turn);
    let left = SILENT_TICKS;
    const tick = () => {
      this.#turn = --left > 0 ? setTimeout(tick, 2) : undefined;
      if (left === 0) this.#takeTurn();
    };
    this.#turn = setTimeout(tick, 2);
  }

  #takeTurn(): void {
    const waits = this.#turn !== undefined || this.#open.length > 0;
    if (!this.#options.turns || !waits) this.#deliver();
  }

  #deliver(): void {
    if (this.#unheard.length > 0) this.#clientSpoke = false;
    for (const bytes of this.#unheard.splice(0)) this.#toClient.send(bytes);
  }

  #rewritten(bytes: Uint8Array): Uint8Array {
    if (this.#garbled) return noise(bytes.length);
    const replacement = this.#options.replacement();
    if (replacement === undefined) return bytes;
    const { from, to } = replacement;
    for (let i = 0; i + from.length <= bytes.length; i++) {
      if (from.every((byte, j) => bytes[i + j] === byte)) bytes.set(to, i);
    }
    return bytes;
  }

  #apply(): void {
    this.cut = true;
    const { fault } = this.#cutAt!;
    this.#options.onCut(this.#cutAt!);
    switch (fault) {
      case "stall":
        return this.stall();
      case "garble":
        this.#garbled = true;
        this.#toClient.resume();
        return this.#toClient.send(noise(64));
      case "fin":
        this.#client.end();
        this.#upstream.end();
        // A client that does not close its side in answer must not keep the session open.
        this.#upstream.destroy();
        return;
      case "rst":
        this.#client.resetAndDestroy();
        this.#upstream.resetAndDestroy();
        return;
    }
  }
}

/** One direction of a session: bytes leave in order, late if so configured, or not at all. */
class Lane {
  #last: Promise<void> = Promise.resolve();
  #waits = false;
  #stopped = false;

  constructor(readonly socket: net.Socket, readonly latencyMs: number) {}

  send(bytes: Uint8Array): void {
    this.#do(() => this.socket.writable && this.socket.write(bytes));
  }

  end(): void {
    this.#do(() => this.socket.end());
  }

  /** Everything sent from now on waits for this first. */
  wait(released: Promise<void>): void {
    this.#waits = true;
    this.#last = this.#last.then(() => released);
  }

  stop(): void {
    this.#stopped = true;
  }

  resume(): void {
    this.#stopped = false;
  }

  #do(act: () => void): void {
    if (this.#stopped) return;
    if (!this.#waits && this.latencyMs === 0) return act();
    this.#waits = true;
    const due = Promise.withResolvers<void>();
    const timer = setTimeout(due.resolve, this.latencyMs);
    this.socket.once("close", () => {
      clearTimeout(timer);
      due.resolve();
    });
    this.#last = this.#last.then(() => due.promise).then(() => {
      if (!this.#stopped) act();
    });
  }
}

function receive(client: net.Socket, behaviour: Front): void {
  switch (behaviour) {
    case "accepts and closes":
      return void client.end();
    case "reads and closes":
      return void client.once("data", () => client.end());
    case "speaks HTTP":
      return void client.once(
        "data",
        () =>
          client.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"),
      );
    case "says nothing":
      client.resume();
      return;
  }
}

/** Says it again and again, as fast as the client takes it in. */
function flood(client: net.Socket, said: Uint8Array): void {
  const more = () => {
    while (client.writable && client.write(said));
  };
  client.on("drain", more);
  more();
}

function noise(length: number): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(length));
}
