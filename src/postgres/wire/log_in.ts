/**
 * The log-in on a connected socket, and the first questions, which ride with it.
 *
 * It is ours rather than the driver's: a run that finds nothing pending needs no more of a driver than this, and loading
 * one takes longer than the rest of such a run. The driver is handed a session that is open: see {@link replay}.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { DatabaseError } from "../../errors.ts";
import {
  type Column,
  concat,
  endsSession,
  loggedInMessages,
  type Message,
  message,
  MessageReader,
  readColumns,
  readCopied,
  readError,
  readRow,
  readUint32,
  readyMessage,
  type Row,
  type Rows,
  startupMessage,
  textOf,
  uint32,
} from "./protocol.ts";
import { visible } from "../../text.ts";
import { MECHANISM, ScramClient } from "./scram.ts";
import type { Socket } from "./socket.ts";
import type { Target } from "../../cli/target.ts";

/** Which backend the session talks to, and the key that cancels what it does. */
export interface Backend {
  readonly pid: number;
  readonly secret: number;
}

/** What came of a question: the rows of each of its statements, up to the one that failed. */
export interface Reply {
  readonly results: readonly Rows[];
  readonly failure: DatabaseError | undefined;
}

/** What is asked with the log-in; each question has one or several statements without parameters. */
export interface Questions {
  readonly first: string;
  /** The question that the answer to the last one leads to; `undefined` when all is known. */
  readonly next?: (answer: Reply) => string | undefined;
}

/** As whom to log in, and what to ask. */
export interface LogInOptions {
  readonly target: Pick<
    Target,
    "user" | "password" | "database" | "applicationName" | "options"
  >;
  readonly applicationName: string;
  /** The password in the form in which SCRAM uses it; see {@link passwordForms}. */
  readonly scramPassword: string;
  readonly questions: Questions;
  readonly onNotice: (severity: string, message: string) => void;
}

/** An open session. */
export interface LoggedIn {
  readonly backend: Backend;
  /** What came of the last question. */
  readonly answer: Reply;
  /**
   * Leaves the socket to somebody else, and returns what to begin with: the server's part of this log-in, without the
   * proof of who is who, and whatever has come in since.
   */
  readonly takeOver: () => Uint8Array;
}

const NOT_POSTGRESQL =
  "what answers there does not speak PostgreSQL's protocol";

/** `Authentication…` of the protocol, by its number. */
const AUTHENTICATION = { ok: 0, clear: 3, md5: 5, sasl: 10, more: 11, end: 12 };

/** What a server may say before it waits for a statement: the letters of its messages. */
const LETTERS = "REKNSZv";

/** How long such a message may be, in bytes; nothing comes near it. */
const LONGEST = 1_000_000;

/** Ways to log in that need more than a password. */
const UNSUPPORTED: Readonly<Record<number, string>> = {
  2: "Kerberos",
  6: "SCM credentials",
  7: "GSSAPI",
  9: "SSPI",
};

/**
 * Logs in and asks the questions.
 *
 * Never settles when the connection ends before: whoever holds the socket knows.
 *
 * @throws {DatabaseError} when the server refuses the log-in, or ends the session
 * @throws {Error} when it asks for something that this program cannot give
 */
export async function logIn(
  socket: Socket,
  options: LogInOptions,
): Promise<LoggedIn> {
  const talk = new Talk(socket, options.onNotice);
  try {
    return await converse(talk, options);
  } catch (error) {
    // A message is shorter than its kind is, or does not say what it should.
    throw error instanceof RangeError || error instanceof TypeError
      ? new Error(NOT_POSTGRESQL, { cause: error })
      : error;
  }
}

async function converse(
  talk: Talk,
  { target, applicationName, scramPassword, questions }: LogInOptions,
): Promise<LoggedIn> {
  talk.start(startupMessage({
    user: target.user,
    database: target.database,
    client_encoding: "UTF8",
    application_name: target.applicationName ?? applicationName,
    ...(target.options !== undefined && { options: target.options }),
  }));
  await authenticate(talk, target, scramPassword);
  const announced: Message[] = [];
  let backend: Backend = { pid: 0, secret: 0 };
  for (let next = await talk.next();; next = await talk.next()) {
    if (next.type === "Z") break;
    if (next.type === "E") throw readError(next.body);
    if (next.type === "K" || next.type === "S") announced.push(next);
    if (next.type === "K") backend = readBackend(next.body);
  }
  let answer: Reply;
  for (
    let question: string | undefined = questions.first;
    question !== undefined;
    question = questions.next?.(answer)
  ) {
    talk.send("Q", question);
    answer = await readAnswer(talk);
    if (answer.failure === undefined && answer.results.length === 0) {
      throw new Error(NOT_POSTGRESQL);
    }
  }
  const takeOver = () =>
    concat([
      ...loggedInMessages(announced),
      // The second news that the server is ready settles the driver's `reserve`, which the first one only opens.
      readyMessage(),
      talk.end(),
    ]);
  return { backend, answer: answer!, takeOver };
}

/**
 * The socket as the driver, which begins with a log-in of its own, wants to see it: what it writes first is not sent, and
 * what `begin` returns then is the answer, for the driver alone.
 */
export function replay(socket: Socket, begin: () => Uint8Array): Socket {
  const { on, write } = socket;
  let hear: ((data: Uint8Array) => void) | undefined;
  socket.on = (event, listener) => {
    if (event === "data") hear = listener;
    return on.call(socket, event, listener);
  };
  socket.write = () => {
    Object.assign(socket, { on, write });
    const answer = Buffer.from(begin());
    queueMicrotask(() => hear?.(answer));
    return true;
  };
  return socket;
}

/** What the two sides say, message by message. */
class Talk {
  readonly #socket: Socket;
  readonly #onNotice: LogInOptions["onNotice"];
  readonly #reader = new MessageReader();
  readonly #messages: Message[] = [];
  /** How many of them were taken: to shift a long list again and again takes longer than to read it. */
  #taken = 0;
  #waiting: PromiseWithResolvers<Message> | undefined;
  #answering = false;
  readonly #onData = (data: Uint8Array) => {
    for (const one of this.#reader.push(data)) this.#take(one);
    if (this.#isNonsense) this.#waiting?.reject(new Error(NOT_POSTGRESQL));
  };

  constructor(socket: Socket, onNotice: LogInOptions["onNotice"]) {
    this.#socket = socket;
    this.#onNotice = onNotice;
    socket.on("data", this.#onData);
  }

  /** The first message, which has no letter. */
  start(startup: Uint8Array): void {
    this.#socket.write(startup);
  }

  /**
   * The next message, of those that matter.
   *
   * @throws {DatabaseError} when it ends the session
   * @throws {Error} when what comes in is no message of PostgreSQL's
   */
  async next(): Promise<Message> {
    const next = this.#messages[this.#taken++] ?? await this.#wait();
    if (next.type === "E") {
      const error = readError(next.body);
      if (endsSession(error)) throw error;
    }
    return next;
  }

  send(type: string, ...parts: readonly (string | Uint8Array)[]): void {
    this.#answering ||= type === "Q";
    this.#socket.write(message(type, ...parts));
  }

  /** Stops listening, and returns the piece of a message that has come in. */
  end(): Uint8Array {
    this.#socket.off("data", this.#onData);
    return this.#reader.rest;
  }

  #take(one: Message): void {
    if (one.type === "N") {
      const { severity, message } = readError(one.body).server;
      this.#onNotice(severity, message);
    } else if (this.#waiting !== undefined) {
      this.#waiting.resolve(one);
      this.#waiting = undefined;
    } else {
      this.#messages.push(one);
    }
  }

  #wait(): Promise<Message> {
    if (this.#isNonsense) return Promise.reject(new Error(NOT_POSTGRESQL));
    this.#messages.length = this.#taken = 0;
    this.#waiting = Promise.withResolvers();
    return this.#waiting.promise;
  }

  /** Whether the message in hand cannot be one of a log-in: its "length" would be waited for, for ever. */
  get #isNonsense(): boolean {
    const { rest } = this.#reader;
    if (this.#answering || rest.length === 0) return false;
    if (!LETTERS.includes(String.fromCharCode(rest[0]!))) return true;
    return rest.length >= 5 && readUint32(rest, 1) > LONGEST;
  }
}

async function authenticate(
  talk: Talk,
  { user, password = "" }: LogInOptions["target"],
  scramPassword: string,
): Promise<void> {
  let scram: ScramClient | undefined;
  let proved = true;
  for (;;) {
    const { type, body } = await talk.next();
    if (type === "v") continue; // the server knows fewer options of the protocol than we do not use
    if (type === "E") throw readError(body);
    if (type !== "R" || body.length < 4) {
      throw new Error(NOT_POSTGRESQL);
    }
    const kind = readUint32(body, 0);
    const rest = body.subarray(4);
    switch (kind) {
      case AUTHENTICATION.ok:
        if (!proved) {
          throw new Error("the server broke off the log-in and let us in");
        }
        return;
      case AUTHENTICATION.clear:
        talk.send("p", password);
        break;
      case AUTHENTICATION.md5:
        talk.send("p", await md5Answer(user, password, rest));
        break;
      case AUTHENTICATION.sasl: {
        scram = new ScramClient(scramPassword);
        proved = false;
        talk.send("p", ...saslStart(rest, scram.first()));
        break;
      }
      case AUTHENTICATION.more:
        talk.send("p", encode(await begun(scram).final(textOf(rest))));
        break;
      case AUTHENTICATION.end:
        begun(scram).assertServer(textOf(rest));
        proved = true;
        break;
      default:
        throw unsupported(UNSUPPORTED[kind] ?? `number ${kind}`);
    }
  }
}

/** The mechanism, and the client's first message with its length. */
function saslStart(
  offered: Uint8Array,
  first: string,
): (string | Uint8Array)[] {
  const mechanisms = new TextDecoder().decode(offered).split("\0");
  if (!mechanisms.includes(MECHANISM)) {
    throw unsupported(mechanisms.filter(Boolean).join(", ") || "no mechanism");
  }
  const bytes = encode(first);
  return [MECHANISM, concat([uint32(bytes.length), bytes])];
}

function begun(scram: ScramClient | undefined): ScramClient {
  if (scram !== undefined) return scram;
  throw new Error("the server continues a log-in that has not begun");
}

/** Deno's own cryptography has no MD5. */
async function md5Answer(
  user: string,
  password: string,
  salt: Uint8Array,
): Promise<string> {
  const { createHash } = await import("node:crypto");
  const inner = createHash("md5").update(password + user).digest("hex");
  return `md5${createHash("md5").update(inner).update(salt).digest("hex")}`;
}

function unsupported(method: string): Error {
  return new Error(
    `the server asks for a log-in by ${
      visible(method)
    }, and this program can log in with a password only`,
  );
}

function readBackend(body: Uint8Array): Backend {
  return { pid: readUint32(body, 0), secret: readUint32(body, 4) };
}

/** Reads the answer to a simple query, up to the news that the server waits for the next. */
async function readAnswer(talk: Talk): Promise<Reply> {
  const results: Rows[] = [];
  let columns: readonly Column[] = [];
  let rows: Row[] = [];
  let failure: DatabaseError | undefined;
  for (;;) {
    const { type, body } = await talk.next();
    if (type === "T") columns = readColumns(body);
    else if (type === "D") rows.push(readRow(columns, body));
    else if (type === "d") rows.push({ fields: readCopied(body) });
    else if (type === "E") failure ??= readError(body);
    else if (type === "C") {
      results.push(Object.assign(rows, { command: textOf(body) }));
      rows = [];
    } else if (type === "Z") return { results, failure };
  }
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
