/** A server, or somebody in between, that answers a statement with what is no answer to it. */
import { assertEquals, assertMatch } from "@std/assert";
import { concat, message, uint32 } from "../../src/postgres/wire/protocol.ts";
import { startProxy } from "../support/net/proxy.ts";
import { upCode } from "../support/program/migrations.ts";
import { scenario } from "../support/program/scenario.ts";
import { waitFor } from "../support/program/wait.ts";

const NONSENSE = "what answers there does not speak PostgreSQL's protocol";
const COPY = "the server began to copy data that nobody has asked for";
const TOO_LONG =
  "an answer of the server is longer than 256 MiB, which is the most that this program takes in";

const text = (bytes: string) => new TextEncoder().encode(bytes);
const notice = message("N", "SNOTICE", "VNOTICE", "Mhello", Uint8Array.of(0));

interface Answer {
  readonly said: Uint8Array;
  readonly more?: "without end";
  /** Why the connection counts as lost. */
  readonly reason: string;
}

const ANSWERS: Readonly<Record<string, Answer>> = {
  "a row description that is shorter than it says": {
    said: message("T", Uint8Array.of(0, 9), text("a\0")),
    reason: NONSENSE,
  },
  "a message that PostgreSQL does not have": {
    said: message("!", "hello"),
    reason: NONSENSE,
  },
  "a log-in": { said: message("R", uint32(3)), reason: NONSENSE },
  "a length that cannot be": { said: text("D\0\0\0\x02"), reason: NONSENSE },
  "a COPY": {
    said: message("G", Uint8Array.of(0, 0, 0)),
    reason: COPY,
  },
  "a message of two gigabytes": {
    said: text("D\x7f\x7f\x7f\x7f"),
    reason: TOO_LONG,
  },
  "a row that nobody has described": {
    said: message("D", Uint8Array.of(0, 1), uint32(0)),
    reason: NONSENSE,
  },
  "rows without end": {
    said: concat([
      message("T", Uint8Array.of(0, 1), "a", new Uint8Array(18)),
      message(
        "D",
        Uint8Array.of(0, 1),
        uint32(60_000),
        new Uint8Array(60_000),
      ),
    ]),
    more: "without end",
    reason: TOO_LONG,
  },
};

for (const [what, { said, more, reason }] of Object.entries(ANSWERS)) {
  scenario(
    `${what} in the place of an answer ends the connection, and nothing is applied`,
    {
      "0001_ask": upCode(`
  await sql\`create table a ()\`.execute(db);
  await sql\`select 1\`.execute(db);
  await sql\`select 4711\`.execute(db);`),
    },
    async (s) => {
      await using proxy = await startProxy(s.db);
      proxy.lie(/4711/, said, more);
      const { code, stdout, stderr } = await s.run("up", {
        url: proxy.url(s.db.url),
      });

      assertEquals([code, stdout], [1, ""], stderr);
      const [error, ...others] = stderr.match(/^error: .*/gm) ?? [];
      assertEquals(
        error,
        `error: Cannot apply "0001_ask": The connection to the database was lost: ${reason}`,
      );
      assertEquals(others, []);
      assertMatch(stderr, /^Failed in T: nothing was changed, 1 not run/m);
      assertEquals(await s.tables(), []);
    },
  );
}

scenario(
  "notices without end do not keep the program from obeying a signal",
  { "0001_ask": upCode("await sql`select 4711`.execute(db);") },
  async (s) => {
    await using proxy = await startProxy(s.db);
    // So slow that the most that is taken in is not reached for long.
    proxy.lie(/4711/, notice, "without end");
    await using up = s.start("up", { url: proxy.url(s.db.url) });
    await waitFor(
      "the notices",
      () => proxy.sessions[0]?.requests.at(-1)?.includes("4711") === true,
    );
    up.kill("SIGTERM");
    const { code, stderr } = await up.result;
    // It may have taken in all that it takes before the signal came.
    assertEquals([1, 143].includes(code), true, stderr);
    assertEquals(await s.tables(), []);
  },
);

scenario(
  "a statement that waits behind another with parameters ends with the connection",
  {
    "0001_ask": upCode(`
  const first = sql\`select \${"1"}::int4 + 4711, \${[1]}::int4[]\`.execute(db);
  const second = sql\`select 2\`.execute(db).then(() => "answered", (error) => error.message);
  await first.catch(() => {});
  console.error("the second: " + await second);`),
  },
  async (s) => {
    await using proxy = await startProxy(s.db);
    proxy.lie(/4711/, text("D\0\0\0\x02"));
    const { code, stderr } = await s.run("up", { url: proxy.url(s.db.url) });
    assertEquals(code, 1, stderr);
    // It is told so, whatever it was waiting for.
    assertMatch(stderr, /^the second: (?!answered)./m);
    assertMatch(
      stderr,
      /^error: Cannot apply "0001_ask": The connection to the database was lost: /m,
    );
  },
);
