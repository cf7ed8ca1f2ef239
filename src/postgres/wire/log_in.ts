/**
 * The log-in on a connected socket, and the first questions, which ride with it.
 *
 * It is ours rather than the driver's: a run that finds nothing pending needs no more of a driver than this, and loading
 * one takes longer than the rest of such a run. The driver is handed a session that is open: see `driver_socket.ts`.
 *
 * @module
 */
import type { DatabaseError } from "../../errors.ts";
import type { Target } from "../../cli/target.ts";
import { authenticate, type AuthenticationOptions } from "./authentication.ts";
import { assertBindable } from "./channel_binding.ts";
import { type Messages, notPostgresql } from "./messages.ts";
import {
  type Column,
  endsSession,
  loggedInMessages,
  type Message,
  readColumns,
  readError,
  readRow,
  readUint32,
  type Row,
  type Rows,
  startupMessage,
  textOf,
} from "./protocol.ts";

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
  /** Takes each row that is copied, as it comes, from the data of the message; such rows are no part of an answer. */
  copied?(data: Uint8Array, begin: number, end: number): void;
}

/** As whom to log in, and what to ask. */
export interface LogInOptions extends AuthenticationOptions {
  readonly target: Pick<
    Target,
    "user" | "password" | "database" | "applicationName" | "options"
  >;
  readonly applicationName: string;
  readonly questions: Questions;
}

/** An open session. */
export interface LoggedIn {
  readonly backend: Backend;
  /** What came of the last question. */
  readonly answer: Reply;
  /** The server's part of this log-in, without the proof of who is who. */
  readonly announced: Uint8Array;
}

/**
 * Logs in and asks the questions.
 *
 * Never settles when the connection ends before: whoever holds the socket knows.
 *
 * @throws {DatabaseError} when the server refuses the log-in, or ends the session
 * @throws {ChannelBindingError} when it is not bound to the channel as it has to be
 * @throws {Error} when it asks for something that this program cannot give
 */
export async function logIn(
  messages: Messages,
  options: LogInOptions,
): Promise<LoggedIn> {
  try {
    return await converse(messages, options);
  } catch (error) {
    // A message is shorter than its kind is, or does not say what it should.
    throw error instanceof RangeError || error instanceof TypeError
      ? notPostgresql(error)
      : error;
  }
}

async function converse(
  messages: Messages,
  options: LogInOptions,
): Promise<LoggedIn> {
  const { target, applicationName, questions } = options;
  assertBindable(options.tls, options.channel); // before anything is said
  messages.write(startupMessage({
    user: target.user,
    database: target.database,
    client_encoding: "UTF8",
    application_name: target.applicationName ?? applicationName,
    ...(target.options !== undefined && { options: target.options }),
  }));
  await authenticate(messages, options);
  const announced: Message[] = [];
  let backend: Backend = { pid: 0, secret: 0 };
  for (;;) {
    const next = await messages.next();
    if (next.type === "Z") break;
    if (next.type === "E") throw readError(next.body);
    if (next.type === "K" || next.type === "S") announced.push(next);
    if (next.type === "K") {
      backend = {
        pid: readUint32(next.body, 0),
        secret: readUint32(next.body, 4),
      };
    }
  }
  messages.onCopied = (data, begin, end) =>
    questions.copied?.(data, begin, end);
  let answer: Reply;
  for (
    let question: string | undefined = questions.first;
    question !== undefined;
    question = questions.next?.(answer)
  ) {
    messages.send("Q", question);
    answer = await readAnswer(messages);
    if (answer.failure === undefined && answer.results.length === 0) {
      throw notPostgresql();
    }
  }
  return { backend, answer: answer!, announced: loggedInMessages(announced) };
}

/** Reads the answer to a simple query, up to the news that the server waits for the next. */
async function readAnswer(messages: Messages): Promise<Reply> {
  const results: Rows[] = [];
  let columns: readonly Column[] = [];
  let rows: Row[] = [];
  let failure: DatabaseError | undefined;
  for (;;) {
    const { type, body } = await messages.next();
    if (type === "T") columns = readColumns(body);
    else if (type === "D") rows.push(readRow(columns, body));
    else if (type === "E") {
      const error = readError(body);
      if (endsSession(error)) throw error;
      failure ??= error;
    } else if (type === "C") {
      results.push(Object.assign(rows, { command: textOf(body) }));
      rows = [];
    } else if (type === "Z") return { results, failure };
  }
}
