import { assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { EventEmitter } from "node:events";
import { logIn } from "../../src/postgres/wire/log_in.ts";
import { Messages } from "../../src/postgres/wire/messages.ts";
import {
  concat,
  message,
  startupMessage,
  uint32,
} from "../../src/postgres/wire/protocol.ts";
import { SessionState } from "../../src/postgres/wire/session_state.ts";

/** A socket without a network. */
class PaperSocket extends EventEmitter {
  readonly readyState = "open";
  readonly written: Uint8Array[] = [];

  write(data: Uint8Array): boolean {
    this.written.push(data);
    return true;
  }

  end(data: Uint8Array): void {
    this.write(data);
  }

  destroy(): void {}

  /** What the server says. */
  say(...said: readonly Uint8Array[]): void {
    this.emit("data", Buffer.from(concat(said)));
  }
}

const encode = (text: string) => new TextEncoder().encode(text);
const READY = message("Z", encode("I"));
const OK = message("R", uint32(0));
const ENCODING = message("S", "client_encoding", "UTF8");
const KEY = message("K", uint32(7), uint32(11));
const DONE = message("C", "SELECT 0");

const OPTIONS = {
  target: {
    user: "me",
    password: undefined,
    database: "there",
    applicationName: undefined,
    options: undefined,
  },
  tls: { mode: "disable", channelBinding: "prefer" },
  channel: undefined,
  applicationName: "test",
  scramPassword: "",
  questions: { first: "select" },
} as const;

async function loggedIn(socket: PaperSocket) {
  const session = logIn(
    new Messages(socket, new SessionState(), () => {}),
    OPTIONS,
  );
  socket.say(OK, ENCODING, KEY, READY);
  while (socket.written.length < 2) await Promise.resolve();
  socket.say(DONE, READY);
  return await session;
}

Deno.test("logIn() says who it is, asks its question and returns the answer", async () => {
  const socket = new PaperSocket();
  const { backend, answer, announced } = await loggedIn(socket);
  assertEquals(announced, concat([OK, ENCODING, KEY, READY, READY]));
  assertEquals(backend, { pid: 7, secret: 11 });
  assertEquals(answer.failure, undefined);
  assertEquals(answer.results.map((rows) => [...rows]), [[]]);
  assertEquals(socket.written, [
    startupMessage({
      user: "me",
      database: "there",
      client_encoding: "UTF8",
      application_name: "test",
    }),
    message("Q", "select"),
  ]);
});
