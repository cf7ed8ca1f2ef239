import { assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { EventEmitter } from "node:events";
import { logIn, replay } from "../../src/postgres/wire/log_in.ts";
import {
  concat,
  message,
  MessageReader,
  startupMessage,
  uint32,
} from "../../src/postgres/wire/protocol.ts";

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
  applicationName: "test",
  scramPassword: "",
  questions: { first: "select" },
  onNotice: () => {},
} as const;

async function loggedIn(socket: PaperSocket) {
  const session = logIn(socket, OPTIONS);
  socket.say(OK, ENCODING, KEY, READY);
  socket.say(DONE, READY);
  return await session;
}

Deno.test("logIn() says who it is, asks its question and returns the answer", async () => {
  const socket = new PaperSocket();
  const { backend, answer } = await loggedIn(socket);
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

Deno.test("replay() tells the driver alone of the log-in, and of what came in since", async () => {
  const socket = new PaperSocket();
  const { takeOver } = await loggedIn(socket);
  const notice = message("N", "SNOTICE", "Mlater", "");
  // The rest of it comes when the driver listens.
  socket.say(notice.subarray(0, 9));
  const others: Uint8Array[] = [];
  socket.on("data", (data: Uint8Array) => others.push(data));

  const reader = new MessageReader();
  const heard: string[] = [];
  const driver = replay(socket, takeOver);
  driver.on("data", (data: Uint8Array) => {
    heard.push(...reader.push(data).map(({ type }) => type));
  });
  driver.write(encode("the log-in of the driver"));
  await Promise.resolve();
  assertEquals(heard, ["R", "S", "K", "Z", "Z"]);
  assertEquals(others, []);

  socket.say(notice.subarray(9));
  assertEquals(heard.at(-1), "N");
  assertEquals(others.length, 1);
  driver.write(message("Q", "select 1"));
  assertEquals(socket.written.slice(2), [message("Q", "select 1")]);
});
