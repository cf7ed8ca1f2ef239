import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { EventEmitter } from "node:events";
import { Buffer } from "node:buffer";
import { DriverSocket } from "../../src/postgres/wire/driver_socket.ts";
import { MessageReader, Messages } from "../../src/postgres/wire/messages.ts";
import {
  type Answer,
  concat,
  type Message,
  message,
  uint32,
} from "../../src/postgres/wire/protocol.ts";
import {
  bytes,
  dataRow,
  ERROR,
  fields,
  within,
} from "../support/net/wire_bytes.ts";
import { SessionState } from "../../src/postgres/wire/session_state.ts";

const FATAL = {
  S: "FATAL",
  V: "FATAL",
  C: "57P01",
  M: "terminating connection due to administrator command",
};

/** Types and bodies, so that a comparison shows them. */
function plain(messages: readonly Message[]): [string, number[]][] {
  return messages.map(({ type, body }) => [type, [...body]]);
}

const STREAM = [
  message("R", uint32(0)),
  message("S", "client_encoding", "UTF8"),
  message("n"),
  message("D", dataRow("", null, "naïve ☃", "\0")),
  message("E", fields(FATAL)),
  message("Z", bytes("I")),
];

Deno.test("MessageReader finds the same messages wherever the stream is cut", () => {
  const data = concat(STREAM);
  const whole = new MessageReader().push(data);
  assertEquals(whole.map(({ type }) => type).join(""), "RSnDEZ");
  assertEquals(whole.map((one) => one.bytes), STREAM);
  for (let at = 0; at <= data.length; at++) {
    const reader = new MessageReader();
    const messages = [data.subarray(0, at), data.subarray(at)].flatMap((part) =>
      reader.push(within(part))
    );
    assertEquals(plain(messages), plain(whole), `cut at ${at}`);
    assertEquals(messages.map((one) => one.bytes), STREAM, `cut at ${at}`);
    assertEquals(reader.length, 0);
  }
});

Deno.test("MessageReader takes pieces of any size", () => {
  const data = concat(STREAM);
  for (const size of [1, 2, 3, 4, 5, 6, 7, 11]) {
    const reader = new MessageReader();
    const messages: Message[] = [];
    for (let at = 0; at < data.length; at += size) {
      messages.push(...reader.push(data.slice(at, at + size)));
    }
    assertEquals(messages.map((one) => one.bytes), STREAM, `${size} each`);
  }
});

Deno.test("MessageReader tells how much it has of the message in hand, and how long that is", () => {
  const data = message("S", "TimeZone", "UTC");
  for (let at = 0; at < data.length; at++) {
    const reader = new MessageReader();
    const before = message("Z", bytes("I"));
    const messages = reader.push(concat([before, data.subarray(0, at)]));
    assertEquals(plain(messages), [["Z", [73]]]);
    assertEquals(reader.length, at);
    assertEquals(reader.letter, at > 0 ? "S" : undefined);
    assertEquals(reader.announced, at >= 5 ? data.length : 0);
    assertEquals(reader.push(new Uint8Array()), []);
    assertEquals(reader.push(data.subarray(at)).map((one) => one.bytes), [
      data,
    ]);
    assertEquals([reader.length, reader.letter, reader.announced], [
      0,
      undefined,
      0,
    ]);
  }
});

Deno.test("MessageReader reads a message larger than a piece of a socket", () => {
  const row = message("D", dataRow("x".repeat(200_000)));
  const reader = new MessageReader();
  const messages: Message[] = [];
  for (let at = 0; at < row.length; at += 65_536) {
    messages.push(...reader.push(row.subarray(at, at + 65_536)));
  }
  assertEquals(messages.length, 1);
  assertEquals(messages[0]!.bytes.length, row.length);
});

Deno.test("MessageReader refuses a length that cannot be", () => {
  for (const length of [0, 1, 3]) {
    assertThrows(
      () => new MessageReader().push(concat([bytes("Z"), uint32(length)])),
      Error,
      "what answers there does not speak PostgreSQL's protocol",
    );
  }
  // Four gigabytes, not a negative number.
  const reader = new MessageReader();
  assertEquals(reader.push(concat([bytes("Z"), uint32(0xffffffff)])), []);
  assertEquals(reader.announced, 0x1_0000_0000);
});

/** What is known after a server has said this. */
function told(...said: readonly Uint8Array[]): SessionState {
  const state = new SessionState();
  for (const one of new MessageReader().push(concat(said))) state.take(one);
  return state;
}

Deno.test("SessionState tells when no transaction is open", () => {
  const ready = message("Z", bytes("I"));
  const states: [boolean, Uint8Array[]][] = [
    [true, [ready]],
    [true, [message("C", "SELECT 1"), ready]],
    [true, [message("Z", bytes("T")), message("2"), ready]],
    [false, []],
    [false, [message("Z", bytes("T"))]],
    [false, [message("Z", bytes("E"))]],
    [false, [ready, message("C", "SELECT 1")]],
    [false, [message("D", ready)]],
  ];
  for (const [idle, said] of states) assertEquals(told(...said).isIdle, idle);
});

Deno.test("SessionState keeps the error that ended the session", () => {
  const fatal = message("E", fields(FATAL));
  const error = message("E", fields(ERROR));
  for (const said of [[fatal], [error, fatal]]) {
    assertEquals(told(...said).farewell?.server.code, FATAL.C);
  }
  const none = [[], [error], [message("N", fields(FATAL))]];
  for (const said of none) assertEquals(told(...said).farewell, undefined);
});

Deno.test("SessionState fills the answers in their order, the error before the rest", () => {
  const state = new SessionState();
  const [first, second]: Answer[] = [{ tags: [] }, { tags: [] }];
  state.answers.push(first!, second!);
  const hear = (...said: readonly Uint8Array[]) => {
    for (const one of new MessageReader().push(concat(said))) state.take(one);
  };
  hear(message("C", "BEGIN"), message("C", "INSERT 0 1"));
  assertEquals(first, { tags: [] });
  hear(message("Z", bytes("T")));
  const { at, ...rest } = first!;
  assertEquals(rest, { tags: ["BEGIN", "INSERT 0 1"], status: "open" });
  assert(at! > 0);
  hear(message("E", fields(ERROR)), message("E", fields(FATAL)));
  assertEquals(second!.failure?.server.code, ERROR.C);
  assertEquals(second!.status, undefined);
  hear(message("Z", bytes("E")));
  assertEquals([second!.tags, second!.status], [[], "failed"]);
  assertEquals(state.answers, []);
});

Deno.test("SessionState keeps the settings as they are now", () => {
  const state = told(
    message("S", "TimeZone", "UTC"),
    message("S", "TimeZone", "CET"),
  );
  assertEquals([...state.settings], [["TimeZone", "CET"]]);
});

/** Both sides of a socket without a network: what is said, and what becomes of it. */
function conversation() {
  const socket = new EventEmitter();
  const written: Uint8Array[] = [];
  Object.assign(socket, { write: (data: Uint8Array) => written.push(data) });
  const notices: string[] = [];
  const failures: string[] = [];
  const messages = new Messages(
    socket as never,
    new SessionState(),
    (severity, text) => notices.push(`${severity}: ${text}`),
    (error) => failures.push(error.message),
  );
  const say = (...said: readonly Uint8Array[]) =>
    socket.emit("data", Buffer.from(concat(said)));
  return { messages, say, written, notices, failures };
}

const NONSENSE = "what answers there does not speak PostgreSQL's protocol";

Deno.test("Messages gives one after the other, and keeps notices apart", async () => {
  const { messages, say, notices } = conversation();
  const first = messages.next();
  say(
    message("N", fields({ S: "NOTICE", M: "hello" })),
    message("R", uint32(0)),
  );
  assertEquals((await first).type, "R");
  say(message("K", uint32(1), uint32(2)), message("Z", bytes("I")));
  assertEquals((await messages.next()).type, "K");
  assertEquals((await messages.next()).type, "Z");
  assertEquals(notices, ["NOTICE: hello"]);
});

Deno.test("Messages hears in a log-in what belongs there, and not more than a megabyte", async () => {
  const long = concat([bytes("S"), uint32(1_000_001)]);
  const many = message("S", "x".repeat(400_000));
  for (
    const said of [[bytes("HTTP/1.1")], [message("D", bytes(0, 0))], [long], [
      many,
      many,
      many,
    ]]
  ) {
    const { messages, say } = conversation();
    say(...said);
    await assertRejects(
      async () => {
        for (;;) await messages.next();
      },
      Error,
      NONSENSE,
    );
  }
});

Deno.test("Messages ends an answer that never ends", async () => {
  const { messages, say } = conversation();
  messages.send("Q", "select");
  const row = message("D", dataRow("x".repeat(2 ** 20)));
  say(message("T", bytes(0, 1, "a", 0), new Uint8Array(18)));
  for (let i = 0; i < 64; i++) say(row);
  await assertRejects(
    async () => {
      for (;;) await messages.next();
    },
    Error,
    "an answer of the server is longer than 64 MiB, which is the most that this program takes in",
  );
});

Deno.test("Messages hands over whole messages, and says what cannot be gone on with", () => {
  const described = message("T", bytes(0, 1, "a", 0), new Uint8Array(18));
  const row = message("D", dataRow("a"));
  const after: [string | undefined, Uint8Array[]][] = [
    [undefined, [
      described,
      row,
      message("C", "SELECT 1"),
      message("Z", bytes("I")),
    ]],
    ["the server began to copy data that nobody has asked for", [
      message("G", bytes(0, 0, 0)),
    ]],
    ["the server began to copy data that nobody has asked for", [
      described,
      row,
      message("d", bytes("x")),
    ]],
    [NONSENSE, [message("T", bytes(0, 1, "a", 0, 1))]],
    [NONSENSE, [row]],
    [NONSENSE, [described, message("D", dataRow("a", "b"))]],
    [NONSENSE, [message("R", uint32(0))]],
    [NONSENSE, [bytes("D"), uint32(2)]],
    [
      "an answer of the server is longer than 256 MiB, which is the most that this program takes in",
      [bytes("D"), uint32(2 ** 31 - 1)],
    ],
  ];
  for (const [failure, said] of after) {
    const { messages, say, failures } = conversation();
    const taken: Uint8Array[] = [];
    messages.handOver((data) => taken.push(data));
    const data = concat(said);
    // What comes in two pieces is handed over in whole messages all the same.
    say(data.subarray(0, 7));
    say(data.subarray(7));
    assertEquals(failures, failure === undefined ? [] : [failure]);
    if (failure === undefined) assertEquals(concat(taken), data);
  }
});

Deno.test("DriverSocket answers the driver's log-in by the session that is open, and sends the rest", async () => {
  const sent: Uint8Array[] = [];
  const session = bytes("the session");
  const socket = new DriverSocket(session, (data) => sent.push(data));
  const heard: Uint8Array[] = [];
  socket.on("data", (data: Uint8Array) => heard.push(new Uint8Array(data)));
  assert(socket.write(bytes("the log-in of the driver")));
  await Promise.resolve();
  assertEquals(heard, [session]);
  assert(socket.write(bytes("a query")));
  socket.deliver(bytes("its answer"));
  assertEquals(sent, [bytes("a query")]);
  assertEquals(heard.at(-1), bytes("its answer"));
});

Deno.test("DriverSocket fails once, is never closed, and is silent then", () => {
  const sent: Uint8Array[] = [];
  const socket = new DriverSocket(bytes(), (data) => sent.push(data));
  socket.write(bytes("the log-in of the driver"));
  const events: unknown[] = [];
  for (const event of ["error", "close", "drain", "data"]) {
    socket.on(event, (...parts) => events.push([event, ...parts]));
  }
  const error = new Error("lost");
  socket.fail(error);
  socket.fail(new Error("again"));
  socket.write(bytes("a query"));
  socket.deliver(bytes("an answer"));
  socket.end();
  socket.destroy();
  assertEquals(socket.readyState, "closed");
  assertEquals(events, [["error", error]]);
  assertEquals(sent, []);
});
