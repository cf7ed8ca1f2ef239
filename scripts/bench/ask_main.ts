/**
 * A program that logs in and asks for the history, and does nothing else: what is left to gain for one that is to say
 * that nothing is pending.
 *
 * @module
 */
import { greetingQuery } from "../../src/postgres/greeting.ts";
import { logIn } from "../../src/postgres/wire/log_in.ts";
import { Messages } from "../../src/postgres/wire/messages.ts";
import { SessionState } from "../../src/postgres/wire/session_state.ts";
import { connectTcp } from "../../src/postgres/wire/tcp_socket.ts";

const { hostname, port, username, password, pathname } = new URL(
  Deno.env.get("DATABASE_URL")!,
);
const socket = await connectTcp(
  { host: hostname, port: Number(port) },
  new AbortController().signal,
);
await logIn(new Messages(socket, new SessionState(), () => {}), {
  target: {
    user: username,
    password,
    database: pathname.slice(1),
    applicationName: undefined,
    options: undefined,
  },
  tls: { mode: "disable", channelBinding: "disable" },
  channel: undefined,
  applicationName: "benchmark",
  scramPassword: password,
  questions: { first: greetingQuery(undefined) },
});
Deno.exit(0);
