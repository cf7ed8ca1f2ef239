/** The log-in, which is the program's own: with servers that lie, that fall silent, and with real ones in each way that they ask for a password. */
import { lookup } from "node:dns/promises";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { message, uint32 } from "../../src/postgres/wire/protocol.ts";
import { type MigrateResult, runMigrate } from "../support/program/cli.ts";
import {
  authentication,
  errorResponse,
  FALSE_PASSWORD,
  type Guest,
  startFalseLogIn,
  STEPS,
} from "../support/net/false_log_in.ts";
import {
  type ForwarderOptions,
  startForwarder,
} from "../support/net/forwarder.ts";
import { table } from "../support/program/migrations.ts";
import { type Project, withProject } from "../support/program/project.ts";
import { assertNoSecret, scenario } from "../support/program/scenario.ts";
import { ScramServer } from "../support/net/scram_server.ts";
import { type OwnServer, serverTest } from "../support/server/server.ts";

/** What is refused is refused at once, however long one may wait for an answer. */
const PATIENT = "--connect-timeout=10m";

const BROKEN_OFF = "the server broke off the log-in and let us in";
const ANOTHER_PROOF =
  "the server asks for a second proof: somebody in between may be after the password";
const NOT_BEGUN = "the server continues a log-in that has not begun";
const NOT_SCRAM = "the server's part of the log-in is not SCRAM's";
const NOT_PROVED =
  "the server has not proved that it knows the password: it may be somebody else's";
const NOT_POSTGRES = "what answers there does not speak PostgreSQL's protocol";
const CLOSED = "the server closed the connection";
const RESET = "the connection was reset";

/** Where the client's first message begins: behind the head, the name of the mechanism and a length. */
const FIRST_AT = 5 + 18;

const asks = (method: string) =>
  `the server asks for a log-in by ${method}, and this program can log in with a password only`;

interface Lie {
  readonly receive: (guest: Guest) => Promise<void>;
  /** What the program makes of it. */
  readonly text: string;
}

const LIES: Readonly<Record<string, Lie>> = {
  "lets us in when it should begin with SCRAM": {
    receive: instead("the mechanisms", authentication(0)),
    text: BROKEN_OFF,
  },
  "lets us in without a proof of its own": {
    receive: instead("its first message", authentication(0)),
    text: BROKEN_OFF,
  },
  "begins SCRAM anew and lets us in": {
    receive: instead(
      "its final message",
      authentication(10, "SCRAM-SHA-256\0\0"),
      authentication(0),
    ),
    text: ANOTHER_PROOF,
  },
  "asks for the password as it is once SCRAM has begun": {
    receive: instead("its first message", authentication(3)),
    text: ANOTHER_PROOF,
  },
  "asks for MD5 once SCRAM has begun": {
    receive: instead(
      "the mechanisms",
      authentication(5, Uint8Array.of(1, 2, 3, 4)),
    ),
    text: ANOTHER_PROOF,
  },
  "asks for MD5 once it has the password as it is": {
    receive: instead(
      "nothing",
      authentication(3),
      authentication(5, Uint8Array.of(1, 2, 3, 4)),
    ),
    text: ANOTHER_PROOF,
  },
  "continues SCRAM twice": {
    receive: async (guest) => {
      await guest.logIn("the mechanisms");
      const { bytes } = await guest.hear();
      const first = new TextDecoder().decode(bytes.subarray(FIRST_AT));
      const again = authentication(
        11,
        new ScramServer(FALSE_PASSWORD).first(first),
      );
      await guest.say(again, again);
      await guest.listen();
    },
    text: NOT_SCRAM,
  },
  "asks for MD5 and gives no salt": {
    receive: instead("nothing", authentication(5)),
    text: NOT_POSTGRES,
  },
  "asks to hash the password all day long": {
    receive: async (guest) => {
      await guest.logIn("the mechanisms");
      const { bytes } = await guest.hear();
      const first = new TextDecoder().decode(bytes.subarray(FIRST_AT));
      const scram = new ScramServer(FALSE_PASSWORD, { iterations: 1_000_001 });
      await guest.say(authentication(11, scram.first(first)));
      await guest.listen();
    },
    text:
      "the server asks to hash the password 1000001 times, and 1000000 is the most that this program does",
  },
  "sends notices without end": {
    receive: async (guest) => {
      const notice = message("N", "SNOTICE", "Mhello", Uint8Array.of(0));
      await guest.hear();
      const say = () => guest.say(notice).then(() => true, () => false);
      while (await say());
    },
    text: NOT_POSTGRES,
  },
  "announces a message of two gigabytes": {
    receive: instead(
      "nothing",
      message("S").subarray(0, 1),
      uint32(2 ** 31 - 1),
    ),
    text: NOT_POSTGRES,
  },
  "gives the proof of another password": {
    receive: instead(
      "its first message",
      authentication(12, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="),
    ),
    text: NOT_PROVED,
  },
  "gives no proof": {
    receive: instead("its first message", authentication(12)),
    text: NOT_PROVED,
  },
  "gives an error of SCRAM in place of its proof": {
    receive: instead(
      "its first message",
      authentication(12, "e=other-error"),
    ),
    text: NOT_PROVED,
  },
  "gives a proof before it has seen ours": {
    receive: instead(
      "the mechanisms",
      authentication(12, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="),
    ),
    text: NOT_PROVED,
  },
  "answers with the nonce of another exchange": {
    receive: instead(
      "the mechanisms",
      authentication(11, "r=rOprNGfwEbeRWgbNEkqO%hv,s=W22ZaA==,i=4096"),
    ),
    text: NOT_SCRAM,
  },
  "answers SCRAM's first message with an error of SCRAM": {
    receive: instead("the mechanisms", authentication(11, "e=unknown-user")),
    text: NOT_SCRAM,
  },
  "continues SCRAM without having begun": {
    receive: instead(
      "nothing",
      authentication(11, "r=rOprNGfwEbeRWgbNEkqO%hv,s=W22ZaA==,i=4096"),
    ),
    text: NOT_BEGUN,
  },
  "ends SCRAM without having begun": {
    receive: instead("nothing", authentication(12, "v=AAAA")),
    text: NOT_BEGUN,
  },
  "asks for GSSAPI": {
    receive: instead("nothing", authentication(7)),
    text: asks("GSSAPI"),
  },
  "asks for a way to log in that is not invented yet": {
    receive: instead("nothing", authentication(99)),
    text: asks("number 99"),
  },
  "offers unknown mechanisms only": {
    receive: instead(
      "nothing",
      authentication(10, "OAUTHBEARER\0SCRAM-SHA-512\0\0"),
    ),
    text: asks("OAUTHBEARER, SCRAM-SHA-512"),
  },
  "refuses us in the middle": {
    receive: instead(
      "its first message",
      errorResponse({ S: "ERROR", C: "08P01", M: "malformed \x1b[2K message" }),
    ),
    text: "malformed \\u001b[2K message (SQLSTATE 08P01)",
  },
  "ends the session in the middle": {
    receive: instead(
      "the mechanisms",
      errorResponse({
        S: "FATAL",
        V: "FATAL",
        C: "42P17",
        M: "it is not to be",
      }),
    ),
    text: "it is not to be (SQLSTATE 42P17)",
  },
  "ends the session once we are in": {
    receive: instead(
      "that we are in",
      errorResponse({ S: "TOD", V: "FATAL", C: "42P17", M: "it is late" }),
    ),
    text: "it is late (SQLSTATE 42P17)",
  },
  "says that it is ready in place of a log-in": {
    receive: instead("nothing", message("Z", new TextEncoder().encode("I"))),
    text: NOT_POSTGRES,
  },
  "asks for nothing in particular": {
    receive: instead("nothing", message("R")),
    text: NOT_POSTGRES,
  },
};

for (const [what, { receive, text }] of Object.entries(LIES)) {
  Deno.test(`a server that ${what} is refused at once`, async () => {
    await using server = startFalseLogIn(receive);
    const result = await up(falseUrl(server.port), PATIENT);
    assertRefused(result, server.port, text);
    assertEquals(server.completed, 1);
  });
}

Deno.test("notices and news of the protocol on the way do not stop a log-in", async () => {
  await using server = startFalseLogIn(
    instead(
      "nothing",
      message("N", "SWARNING", "VWARNING", "C01000", "Mold", Uint8Array.of(0)),
      message("v", new Uint8Array(8)),
      authentication(7),
    ),
  );
  const result = await up(falseUrl(server.port), PATIENT);
  assertEquals(result.code, 1);
  assertMatch(result.stderr, /^error: .* a log-in by GSSAPI, /m);
});

Deno.test("a server that wants the password as it is, or as MD5, gets it once it asks", async () => {
  const asked: [Uint8Array, RegExp][] = [
    [authentication(3), new RegExp(`^${FALSE_PASSWORD}\0$`)],
    [authentication(5, Uint8Array.of(1, 2, 3, 4)), /^md5[0-9a-f]{32}\0$/],
  ];
  for (const [request, answer] of asked) {
    let said = "";
    await using server = startFalseLogIn(async (guest) => {
      await guest.hear();
      await guest.say(request);
      said = textOf((await guest.hear()).bytes);
      await guest.say(errorResponse({ S: "FATAL", C: "42P17", M: "enough" }));
      await guest.listen();
    });
    assertRefused(
      await up(falseUrl(server.port), PATIENT),
      server.port,
      "enough (SQLSTATE 42P17)",
    );
    assertMatch(said, answer);
  }
});

for (const mode of ["disable", "prefer"]) {
  Deno.test(`a server that closes at any step of the log-in is noticed, sslmode=${mode}`, async () => {
    for (const step of STEPS) {
      await using server = startFalseLogIn((guest) => guest.logIn(step));
      const result = await up(falseUrl(server.port, mode), PATIENT);
      // Where it has not read everything, the system makes a reset of it.
      const reset = result.stderr.includes(RESET);
      assertRefused(result, server.port, reset ? RESET : CLOSED);
      assertEquals(server.completed, 1, `after it said ${step}`);
    }
  });

  Deno.test(`a server that falls silent at any step of the log-in is left in time, sslmode=${mode}`, async () => {
    // All at once: the time is spent waiting.
    await Promise.all(STEPS.map(async (step) => {
      await using server = startFalseLogIn(async (guest) => {
        await guest.logIn(step);
        await guest.listen();
      });
      const result = await up(
        falseUrl(server.port, mode),
        "--connect-timeout=10s",
      );
      assertRefused(result, server.port, "no answer within 10 s");
      // Otherwise it was left before it fell silent.
      assertEquals(server.completed, 1, `after it said ${step}`);
    }));
  });
}

Deno.test("a server that speaks HTTP is left, whether it hangs up or not", async () => {
  const say = (guest: Guest) =>
    guest.say(new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n\r\n"));
  const receivers = [
    async (guest: Guest) => {
      await guest.hear();
      await say(guest);
    },
    async (guest: Guest) => {
      await guest.hear();
      await say(guest);
      await guest.listen();
    },
  ];
  for (const receive of receivers) {
    await using server = startFalseLogIn(receive);
    const result = await up(falseUrl(server.port), "--connect-timeout=1s");
    // Which of them it is, is for the program to choose; it is one line in any case.
    assertRefused(
      result,
      server.port,
      new RegExp(`^(?:${CLOSED}|no answer within 1 s|${NOT_POSTGRES})$`),
    );
  }
});

for (const mode of ["disable", "prefer"]) {
  scenario(
    `a log-in and a migration work a byte at a time, sslmode=${mode}`,
    { "0001_a": table("a"), "0002_b": table("b") },
    async (s) => {
      const role = await s.db.createRole((name) => [
        `grant create on schema public to ${name}`,
      ]);
      await using slow = startForwarder(s.db, { piece: 1 });
      const url = new URL(role.url);
      url.port = `${slow.port}`;
      url.searchParams.set("sslmode", mode);
      const run = () => s.run("up", { as: role, url: url.href });
      const first = await run();
      assertEquals(first.code, 0, first.stderr);
      assertMatch(first.stdout, /^Applied 2 migrations in /m);
      assertEquals(await s.tables(), ["a", "b"]);
      const second = await run();
      assertEquals(second.code, 0, second.stderr);
      assertEquals(
        second.stdout,
        "Nothing to apply: the database is up to date\n",
      );
      assert(slow.passed > 2_000, `${slow.passed} bytes`);
      url.password = "wrong";
      const wrong = await s.run("up", { as: role, url: url.href });
      assertEquals(wrong.code, 1);
      assertMatch(wrong.stderr, /^ {2}hint: Check the password of the role/m);
    },
  );
}

const HOSTS: readonly (ForwarderOptions & { readonly host: string })[] = [
  { host: "localhost", hostname: "127.0.0.1" },
  { host: "localhost", hostname: "::1" },
  { host: "[::1]", hostname: "::1" },
];

for (const { host, hostname } of HOSTS) {
  scenario(
    `a server that listens on ${hostname} is reached as ${host}`,
    { "0001_a": table("a") },
    async (s) => {
      let forwarder;
      try {
        forwarder = startForwarder(s.db, { hostname: hostname! });
      } catch (error) {
        // Not every machine has IPv6.
        if (hostname === "::1" && error instanceof Error) return;
        throw error;
      }
      await using there = forwarder;
      // The name may stand for the other address alone.
      const addresses = await lookup(host.replace(/[[\]]/g, ""), { all: true });
      if (!addresses.some(({ address }) => address === hostname)) return;
      for (const mode of ["disable", "prefer"]) {
        const url = s.db.url.replace(
          `${s.db.host}:${s.db.port}`,
          `${host}:${there.port}`,
        );
        const result = await s.run("up", { url: `${url}?sslmode=${mode}` });
        assertEquals(result.code, 0, result.stderr);
        assertMatch(
          result.stderr,
          new RegExp(
            `^Connected to "DB" at ${RegExp.escape(host)}:${there.port} `,
            "m",
          ),
        );
      }
    },
  );
}

const NON_ASCII = "pässwörd ☃ 密碼";
const LONG = "0123456789abcde ".repeat(256);

interface Method {
  readonly hba: string;
  /** How the server keeps the password. */
  readonly encryption: "md5" | "scram-sha-256";
  readonly password: string;
  /** The same password as somebody else types it. */
  readonly typed?: string;
  /** Every password will do. */
  readonly open?: true;
}

const METHODS: Readonly<Record<string, Method>> = {
  by_scram: {
    hba: "scram-sha-256",
    encryption: "scram-sha-256",
    password: "s3cret-%26",
  },
  by_scram_non_ascii: {
    hba: "scram-sha-256",
    encryption: "scram-sha-256",
    password: NON_ASCII,
    typed: NON_ASCII.normalize("NFD"),
  },
  // SASLprep drops what cannot be seen of the one, and does not take the other, which is kept as it is.
  by_scram_prepared: {
    hba: "scram-sha-256",
    encryption: "scram-sha-256",
    password: "I \u2764\ufe0f pg",
    typed: "I\u00a0\u2764 pg",
  },
  by_scram_unprepared: {
    hba: "scram-sha-256",
    encryption: "scram-sha-256",
    password: "\ufb01\u{1f600}e\u0301",
  },
  by_scram_long: {
    hba: "scram-sha-256",
    encryption: "scram-sha-256",
    password: LONG,
  },
  by_md5: { hba: "md5", encryption: "md5", password: "s3cret-%26" },
  by_md5_non_ascii: { hba: "md5", encryption: "md5", password: NON_ASCII },
  by_md5_long: { hba: "md5", encryption: "md5", password: LONG },
  // The server then asks for SCRAM all the same.
  by_md5_or_scram: {
    hba: "md5",
    encryption: "scram-sha-256",
    password: "s3cret-%26",
  },
  by_password: {
    hba: "password",
    encryption: "scram-sha-256",
    password: NON_ASCII,
  },
  by_password_long: {
    hba: "password",
    encryption: "scram-sha-256",
    password: LONG,
  },
  by_trust: {
    hba: "trust",
    encryption: "scram-sha-256",
    password: "s3cret-%26",
    open: true,
  },
};

scenario(
  "a refusal is understood before the end of the connection is",
  { "0001_a": table("a") },
  async (s) => {
    const url = new URL(s.db.url);
    url.pathname = "/no_such_database";
    url.searchParams.set("sslmode", "disable");
    // The two arrive together, and which is seen first is a matter of chance.
    for (let i = 0; i < 20; i++) {
      const { code, stderr } = await s.run(
        ["status", "--wait-for-db=10m"],
        { url: url.href },
      );
      assertEquals(code, 1);
      assertMatch(
        stderr,
        /^error: Cannot connect .*: database "no_such_database" does not exist/,
      );
    }
  },
);

serverTest(
  "the right password works in each way that a server asks for it, and a wrong one is told",
  async (server) => {
    await setUp(server);
    await withProject({ "0001_a": table("a") }, async (project) => {
      // Two at a time: much more than two processors would only wait.
      const names = Object.keys(METHODS);
      const half = Math.ceil(names.length / 2);
      await Promise.all(
        [names.slice(0, half), names.slice(half)].map(async (part) => {
          for (const name of part) await tryMethod(server, project, name);
        }),
      );
    });
  },
);

async function tryMethod(
  server: OwnServer,
  project: Project,
  role: string,
): Promise<void> {
  const { password, typed = password, open = false } = METHODS[role]!;
  const run = async (given: string) => {
    const url = new URL(server.url(role));
    url.username = role;
    url.password = encodeURIComponent(given);
    const result = await up(url.href, PATIENT, project);
    assertNoSecret(result, [password, ...(given === "" ? [] : [given])]);
    return result;
  };
  const first = await run(password);
  assertEquals(first.code, 0, `${role}: ${first.stderr}`);
  assertMatch(first.stdout, /^Applied 1 migration in /m);
  const second = await run(typed);
  assertEquals(second.code, 0, `${role}: ${second.stderr}`);
  assertEquals(
    second.stdout,
    "Nothing to apply: the database is up to date\n",
  );
  for (const wrong of [`${password}x`, ""]) {
    const { code, stdout, stderr } = await run(wrong);
    if (open) {
      assertEquals(code, 0, stderr);
      continue;
    }
    assertEquals([code, stdout], [1, ""], role);
    assertMatch(
      stderr,
      new RegExp(
        `^error: Cannot connect to the database "${role}" at [\\d.:]+: [^\\n]+ \\(SQLSTATE 28P01\\)
  hint: Check the password of the role "${role}"
Failed in [^\\n]+: nothing was changed; reason: [^\\n]+ \\(SQLSTATE 28P01\\)
$`,
      ),
    );
  }
}

/** A role and a database of its own for each method, and the rules that ask for it in that way. */
async function setUp(server: OwnServer): Promise<void> {
  for (const [name, { encryption, password }] of Object.entries(METHODS)) {
    await server.query(
      `set password_encryption = '${encryption}';
       create role ${name} login password '${password}'`,
    );
    await server.query(`create database ${name} owner ${name}`);
  }
  const rules = Object.entries(METHODS).map(([name, { hba }]) =>
    `host all ${name} 127.0.0.1/32 ${hba}\n`
  );
  await Deno.writeTextFile(
    `${server.data}/pg_hba.conf`,
    `${rules.join("")}host all all 127.0.0.1/32 scram-sha-256\n`,
  );
  await server.stop("fast");
  await server.start();
}

/** The log-in as it should be, until the server has said `step` and the program has answered; and then this. */
function instead(
  step: (typeof STEPS)[number],
  ...parts: readonly Uint8Array[]
): (guest: Guest) => Promise<void> {
  return async (guest) => {
    await guest.logIn(step);
    const answers: readonly string[] = ["the mechanisms", "its first message"];
    if (answers.includes(step)) await guest.hear();
    await guest.say(...parts);
    await guest.listen();
  };
}

async function up(
  url: string,
  option: string,
  project?: Project,
): Promise<MigrateResult> {
  return await runMigrate(["up", "--wait-for-db=0", option], {
    env: { DATABASE_URL: url },
    ...(project !== undefined && { project }),
  });
}

function falseUrl(port: number, mode = "disable"): string {
  const password = encodeURIComponent(FALSE_PASSWORD);
  return `postgres://me:${password}@127.0.0.1:${port}/there?sslmode=${mode}`;
}

/** There is one line that says why, and nothing else. */
function assertRefused(
  result: MigrateResult,
  port: number,
  text: string | RegExp,
): void {
  const { code, stdout, stderr } = result;
  assertEquals([code, stdout], [1, ""], stderr);
  assertNoSecret(result, [FALSE_PASSWORD]);
  const [error = "", last = "", ...more] = stderr.split("\n");
  const start =
    `error: Cannot connect to the database "there" at 127.0.0.1:${port}: `;
  assertEquals(error.slice(0, start.length), start, stderr);
  const reason = error.slice(start.length);
  if (typeof text === "string") assertEquals(reason, text);
  else assertMatch(reason, text);
  const [, repeated] =
    /^Failed in .+: nothing was changed; reason: (.*)$/.exec(last) ?? [];
  assertEquals(`error: ${repeated}`, error);
  assertEquals(more, [""]);
}

/** What a message of the program says after its head. */
function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes.subarray(5));
}
